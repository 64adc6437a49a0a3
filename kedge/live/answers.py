"""One question, one answer: who answers for what by each strategy, who goes without, and why."""

import hashlib
import time
from typing import Annotated, Any, TypedDict

import torch
from pydantic import Field
from torch import Tensor

from kedge.anchors.grid import Grid
from kedge.assign.by_name import strategy
from kedge.assign.predictions_read import reads_predictions
from kedge.coders import DeltaCoder
from kedge.live.packed import Packed, packed
from kedge.live.reasons import EXPLAINED, Reason, reasons
from kedge.live.source import Source
from kedge.live.state import Asked, State
from kedge.parts import build
from kedge.sample.by_name import SAMPLERS
from kedge.types import Assigner, Assignment, Predictions, Targets

SHOWN = 20_000  # anchors of a layer on demand; the rest is counted


class Question(Asked):
    """``state``, and which anchors to send beside the positives: "ignored", "negative",
    "sampled". ``reasons``: also why, for every object without an anchor. ``have``: the keys of the
    panels that who asks has already: of these the answer holds the key alone."""

    state: State
    have: frozenset[Annotated[str, Field(max_length=40)]] = Field(
        default=frozenset(), max_length=16
    )
    layers: frozenset[str] = Field(default=frozenset(), max_length=3)
    reasons: bool = False


class WhyQuestion(Asked):
    """Why ``object`` has no anchor, where it has none."""

    state: State
    object: Annotated[int, Field(ge=0)]


class Why(TypedDict):
    """A reason for every strategy; None where the object has an anchor, or where the strategy does
    not run."""

    reasons: list[Reason | None]


class Layer(TypedDict):
    """Some anchors (n, 4), evenly picked where there are more than ``SHOWN`` of the ``total``."""

    boxes: Packed
    level: Packed
    total: int
    shown: int


class Panel(TypedDict, total=False):
    """What one strategy chose; only ``error`` where it could not.

    Of every pair: ``boxes`` (P, 4) of the anchor, ``level``, ``target``, ``weight``, ``iou``.
    ``counts`` (n,): pairs of every object. ``code_of`` (n,): the pair of largest IoU of every
    object, -1 without; ``codes`` (n, 4): that object as ``DeltaCoder`` writes it relative to that
    anchor. ``reasons`` where they were asked for; ``unexplained``: objects without an anchor
    for which none was looked for, though asked for. ``key``: what all this depends on, in short.
    """

    key: str
    error: str
    ms: float
    boxes: Packed
    level: Packed
    target: Packed
    weight: Packed
    iou: Packed
    counts: Packed
    codes: Packed
    code_of: Packed
    positives: int
    shared: int
    ignored: int
    anchors: int
    without: int
    unexplained: int
    reasons: list[Reason]
    layers: dict[str, Layer]
    predicted: bool


class Answer(TypedDict):
    """``input``: (H, W) of the network's input; ``placed``: x, y, w, h of the image on it;
    ``objects``: boxes (n, 4) there."""

    input: tuple[int, int]
    placed: tuple[float, float, float, float]
    boxes: Packed
    labels: Packed
    crowd: Packed
    best: Packed
    levels: list[dict[str, Any]]
    panels: list[Panel]
    ms: float


def answer(source: Source, question: Question) -> Answer:
    """Assign the image's objects by every strategy of the state."""
    begin = time.perf_counter()
    state = question.state
    record = source.record(state.image)
    plan = state.place(record.height, record.width)
    grid = state.grid(plan.outer)
    targets, predictions = source.asked(state)
    scene = state.model_dump_json(exclude={"strategies"})
    weights = None if predictions is None else source.weights
    panels = []
    for i, item in enumerate(state.strategies):
        key = _key(scene, item.model_dump_json(), question, weights)
        if key in question.have:  # a slider of one strategy leaves the others as they were
            panels.append({"key": key})
            continue
        panel = source.panels.get(key)
        if panel is None:
            panel = {**_panel(source, question, i, grid, targets, predictions), "key": key}
            source.panels.put(key, panel)
        panels.append(panel)
    return {
        "input": plan.outer,
        "placed": (plan.dx, plan.dy, plan.inner[1], plan.inner[0]),
        "boxes": packed(targets.boxes),
        "labels": packed(source.targets(state).labels),
        "crowd": packed(targets.ignore.int()),
        "best": _best(source, scene, grid, targets),
        "levels": _levels(grid),
        "panels": panels,
        "ms": 1000 * (time.perf_counter() - begin),
    }


def _key(scene: str, strategy: str, question: Question, weights: int | None) -> str:
    parts = scene, strategy, sorted(question.layers), question.reasons, weights
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _best(source: Source, scene: str, grid: Grid, targets: Targets) -> Packed:
    """The best IoU of every object, whatever the strategies."""
    found = source.panels.get(scene)
    if found is None:
        found = packed(_best_iou(grid, targets))
        source.panels.put(scene, found)
    return found


def _best_iou(grid: Grid, targets: Targets) -> Tensor:
    best = grid.best(targets)
    return torch.zeros(len(targets)).index_put((best.target,), best.iou().float())


def _levels(grid: Grid) -> list[dict[str, Any]]:
    rows = zip(grid.levels, grid.sizes, grid.anchors_per_level)
    return [
        {"stride": level.strides, "rows": h, "columns": w, "anchors": number}
        for level, (h, w), number in rows
    ]


@torch.no_grad()
def _panel(
    source: Source,
    question: Question,
    at: int,
    grid: Grid,
    targets: Targets,
    predictions: Predictions | None,
) -> Panel:
    state, begin = question.state, time.perf_counter()
    try:
        rule = strategy(state.strategies[at].spec())
        given = rule(grid, targets, predictions)
    except ValueError as problem:
        return {"error": _explained(source, str(problem))}
    ms = 1000 * (time.perf_counter() - begin)
    read = _read(rule, grid, predictions)
    counts = torch.bincount(given.target, minlength=len(targets))
    without = int(((counts == 0) & ~targets.ignore).sum())
    boxes = grid.boxes(given.anchor)
    iou = grid.measure(boxes, targets.boxes[given.target]).float()
    first = _best_pair(given, iou)
    return {
        "ms": ms,
        "boxes": packed(boxes),
        "level": packed(grid.level(given.anchor)),
        "target": packed(given.target),
        "weight": packed(given.weight.float()),
        "iou": packed(iou),
        "counts": packed(counts),
        "code_of": packed(first),
        "codes": packed(_codes(boxes, targets, first)),
        "positives": len(given),
        "shared": len(given) - len(given.anchor.unique()),
        "ignored": len(given.ignored),
        "anchors": len(grid),
        "without": without,
        "unexplained": max(0, without - EXPLAINED) if question.reasons else 0,
        "reasons": reasons(rule, grid, targets, given, read) if question.reasons else [],
        "layers": _layers(state, grid, given, question.layers),
        "predicted": read is not None,
    }


def _read(rule: Assigner, grid: Grid, predictions: Predictions | None) -> Predictions | None:
    """The predictions, if the strategy reads them."""
    return predictions if predictions is not None and reads_predictions(rule, grid) else None


@torch.no_grad()
def why(source: Source, question: WhyQuestion) -> Why:
    """Why one object goes without, by every strategy of the state."""
    state = question.state
    record = source.record(state.image)
    grid = state.grid(state.place(record.height, record.width).outer)
    targets, predictions = source.asked(state)
    found: list[Reason | None] = []
    for item in state.strategies:
        try:
            rule = strategy(item.spec())
            given = rule(grid, targets, predictions)
        except ValueError:  # the panel says so
            found.append(None)
            continue
        read = _read(rule, grid, predictions)
        mine = reasons(rule, grid, targets, given, read, question.object)
        found.append(mine[0] if mine else None)
    return {"reasons": found}


def _best_pair(given: Assignment, iou: Tensor) -> Tensor:
    """(n,) the pair of largest IoU of every object, the last of equals; -1 without."""
    order = torch.argsort(iou, stable=True)
    place = torch.full((len(given.targets),), -1)
    rank = torch.full_like(place, -1).scatter_reduce_(
        0, given.target[order], torch.arange(len(order)), "amax"
    )
    return torch.where(rank >= 0, order[rank.clamp(min=0)], place) if len(order) else place


def _codes(boxes: Tensor, targets: Targets, pair: Tensor) -> Tensor:
    """(n, 4): every object relative to the anchor of its pair; 0 without one."""
    codes = torch.zeros(len(targets), 4)
    has = pair >= 0
    codes[has] = DeltaCoder().encode(boxes[pair[has]], targets.boxes[has]).float()
    return codes


def _explained(source: Source, problem: str) -> str:
    if "needs predictions" not in problem:
        return problem
    if source.run is None:
        return f"{problem.split(':')[0]}: only a trained detector has them (kedge live --run)"
    return (
        f"{problem.split(':')[0]}: those of the run are for its own saved anchors, in its own "
        "input size; take these back under Anchors, or wait for the first weights"
    )


def _layers(
    state: State, grid: Grid, given: Assignment, wanted: frozenset[str]
) -> dict[str, Layer]:
    found: dict[str, Layer] = {}
    if "ignored" in wanted:
        found["ignored"] = _layer(grid, given.ignored)
    if "negative" in wanted:
        found["negative"] = _layer(grid, given.is_background().nonzero()[:, 0])
    if "sampled" in wanted and state.sampler is not None:
        sample = build(SAMPLERS, state.sampler, "sampler")(
            given, generator=torch.Generator().manual_seed(0)
        )
        found["sampled"] = _layer(grid, torch.cat([given.anchor[sample.positive], sample.negative]))
    return found


def _layer(grid: Grid, rows: Tensor) -> Layer:
    step = max(1, -(-len(rows) // SHOWN))
    part = rows[::step]
    return {
        "boxes": packed(grid.boxes(part)),
        "level": packed(grid.level(part)),
        "total": len(rows),
        "shown": len(part),
    }
