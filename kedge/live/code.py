"""The state of a page as Python, as a training file, and as a command line.

Python is whole: it holds the boxes, and gives the same assignment. The other two name the data as
DIR, since a page never learns where it lies, and say what they cannot say.
"""

import re
import shlex
from typing import Any, TypedDict

import yaml

from kedge.anchors.grid import Grid
from kedge.assign.by_name import STRATEGIES, strategy
from kedge.assign.guaranteed import Guaranteed
from kedge.assign.predictions_read import needs_predictions
from kedge.counted import count
from kedge.doctor.setups import of_detector
from kedge.live.source import Source
from kedge.live.state import Asked, LevelState, State, StrategyState
from kedge.parts import find, text_of


class CodeRequest(Asked):
    """``panel``: the strategy that a training file is for."""

    state: State
    panel: int = 0


class Code(TypedDict):
    """Three texts. ``notes``: what the last two cannot say, a sentence each."""

    python: str
    yaml: str
    command: str
    notes: list[str]


def code(source: Source, asked: CodeRequest) -> Code:
    """The state in three languages; ``ValueError`` where a strategy refuses its settings."""
    state = asked.state
    chosen = state.strategies[min(asked.panel, len(state.strategies) - 1)]
    notes = _limits(source, state)
    return {
        "python": _python(source, state),
        "yaml": _yaml(source, state, chosen),
        "command": _command(source, state),
        "notes": notes,
    }


def _python(source: Source, state: State) -> str:
    record, targets = source.record(state.image), source.targets(state)
    size = state.place(record.height, record.width).outer
    rules = [_call(item) for item in state.strategies]
    names = sorted({name for text in rules for name in re.findall(r"(\w+)\(", text)})
    crowd = targets.ignore.int().tolist()
    lines = [
        "import torch",
        "",
        "from kedge import Grid, Level, Targets",
        f"from kedge.assign import {', '.join([*names, 'report'])}",
        "",
        "grid = Grid(",
        f"    image_size={size},  # height, width",
        "    levels=[",
        *(f"        {_level(level)}," for level in state.levels),
        "    ],",
        ")",
        "boxes = [  # xyxy, pixels of the network's input",
        *(f"    {[_short(x) for x in box]}," for box in targets.boxes.tolist()),
        "]",
        "target = {",
        '    "boxes": torch.tensor(boxes).reshape(-1, 4),',
        f'    "labels": torch.tensor({targets.labels.tolist()}, dtype=torch.int64),',
        *([f'    "iscrowd": torch.tensor({crowd}),'] if any(crowd) else []),
        "}",
        "targets = Targets.from_list([target])",
    ]
    geometric = []
    for text, item in zip(rules, state.strategies, strict=True):
        if needs_predictions(strategy(item.spec()), state.grid(size)):
            lines.append(f"# {text} reads predictions: rule(grid, targets, model.head(images))")
        else:
            geometric.append(text)
    lines += [
        f"rules = [{', '.join(geometric)}]",
        "assignments = [rule(grid, targets) for rule in rules]",
        "for rule, assignment in zip(rules, assignments):",
        "    print(rule)",
        "    print(report(assignment))",
    ]
    return "\n".join(lines) + "\n"


def _name(item: StrategyState) -> str:
    made = find(STRATEGIES, item.name, "strategy")
    return next(name for name, make in STRATEGIES.items() if make is made)


def _call(item: StrategyState) -> str:
    """``TAL(k=10)``: the settings that differ from the defaults."""
    rule = strategy(item.spec())
    if isinstance(rule, Guaranteed):
        settings = {key: value for key, value in item.settings.items() if key != "guarantee"}
        return f"Guaranteed(strategy={_call(item.model_copy(update={'settings': settings}))})"
    name, usual = type(rule).__name__, STRATEGIES[_name(item)]()
    changed = [
        f"{key}={getattr(rule, key)!r}"
        for key in item.settings
        if getattr(rule, key, None) != getattr(usual, key, None)
    ]
    return f"{name}({', '.join(changed)})"


def _level(level: LevelState) -> str:
    y, x = level.stride
    words = [f"stride={_short(y)}" if y == x else f"stride=({_short(y)}, {_short(x)})"]
    if level.shapes is not None:
        words.append(f"shapes={[(_short(w), _short(h)) for w, h in level.shapes]}")
    if level.offset != 0.5:
        words.append(f"offset={level.offset:g}")
    if level.cells is not None:
        words.append(f"size={level.cells}")
    if level.measured:
        words.append("measured=True")
    return f"Level({', '.join(words)})"


def _short(value: float) -> float | int:
    """A whole number as such; others as they are."""
    return int(value) if value == int(value) else value


def _shapes(state: State) -> str:
    shapes = [shape for level in state.levels for shape in level.shapes or ()]
    return ",".join(f"{w:.6g}x{h:.6g}" for w, h in shapes)


def _yaml(source: Source, state: State, chosen: StrategyState) -> str:
    model: dict[str, Any] = {
        "detector": source.detector or "retinanet",
        "assign": chosen.spec(),
    }
    if _shapes(state):
        model["anchors"] = _shapes(state)
        model["num_anchors"] = len(state.levels[0].shapes or ())
    whole = {
        "data": {"source": source.data or "DIR", "image_size": list(state.size)},
        "model": model,
        "output": {"out": "runs/live"},
    }
    return yaml.safe_dump(whole, sort_keys=False, default_flow_style=None, width=96)


def _command(source: Source, state: State) -> str:
    said = ",".join(text_of(item.spec()) for item in state.strategies)
    words = ["kedge", "assign", "--data", source.data or "DIR", "--strategy", said]
    words += ["--detector", source.detector or "retinanet"]
    flags = _anchor_words(source, state)
    if flags is None:  # nearly: the notes say what differs
        flags = ["--anchors", _shapes(state)] if _shapes(state) else []
    words += flags
    return shlex.join([*words, "--image-size", *map(str, state.size)]) + "\n"


def _limits(source: Source, state: State) -> list[str]:
    """What a training file and the command line cannot say of this state."""
    found = []
    if source.data is None:
        found.append("DIR stands for the folder of your data: the page does not know it.")
    if state.resize != "letterbox":
        found.append(f"They letterbox images; here they are resized by {state.resize}.")
    if state.boxes is not None:
        found.append("The boxes drawn by hand are in the Python alone.")
    if _anchor_words(source, state) is None:
        found.append(
            f"Their anchors stand where {source.detector or 'retinanet'} has them, sorted by area "
            "and dealt out to its levels evenly; the ones here differ in strides, offsets or "
            "levels. The Python says them exactly."
        )
    if len(state.strategies) > 1:
        rest = count(len(state.strategies) - 1, "other")
        found.append(f"The training file has one strategy, that of the chosen panel ({rest} here).")
    return found


def _anchor_words(source: Source, state: State) -> list[str] | None:
    """The flags of a command line by which its grid is the one here; None where there are none."""
    if source.detector is None:
        return None
    for flags in ([], ["--anchors", _shapes(state)] if _shapes(state) else []):
        try:
            setup = of_detector(source.detector, state.size, flags[1] if flags else None)
        except ValueError:
            continue
        if _same(state.grid(state.size), setup.grid):
            return flags
    return None


def _same(mine: Grid, other: Grid) -> bool:
    places = [(level.offset, level.strides) for level in mine.levels]
    if places != [(level.offset, level.strides) for level in other.levels]:
        return False
    if mine.sizes != other.sizes or mine.shapes_per_level != other.shapes_per_level:
        return False
    return bool(((mine.shapes - other.shapes).abs() < 1e-3 * mine.shapes).all())
