"""A setting of a strategy against what it does, over the images of a data set."""

from dataclasses import dataclass
from typing import Annotated, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from kedge.anchors.grid import Grid
from kedge.anchors.queries.overlap import placed_iou
from kedge.assign.by_name import strategy
from kedge.assign.predictions_read import needs_predictions
from kedge.live.batches import batches, by_size
from kedge.live.jobs import Job
from kedge.live.source import Source
from kedge.live.state import Asked, State
from kedge.types import Assigner, Targets

MOST_IMAGES = 2000
_RECALL = tuple(round(0.05 * i, 2) for i in range(21))


class SweepRequest(Asked):
    """``setting`` of the strategy of ``panel`` from ``low`` to ``high`` in ``steps`` values, on
    ``images`` of the data set at most, evenly picked."""

    state: State
    panel: Annotated[int, Field(ge=0, le=3)] = 0
    setting: Annotated[str, Field(max_length=40)]
    low: float
    high: float
    steps: Annotated[int, Field(ge=2, le=41)] = 11
    images: Annotated[int, Field(ge=1, le=MOST_IMAGES)] = 200


class Row(TypedDict):
    """At one ``value``: positives per object, the share of objects that have one, how many have
    none, also ``by_class``, and the anchors ignored; None where the strategy refuses the value:
    ``refused`` says why.
    """

    value: float
    per_object: float | None
    answered: float | None
    without: int | None
    ignored: int | None
    by_class: list[int] | None
    refused: str


class Swept(TypedDict):
    """``images`` of ``of`` so far, with ``objects`` in them, ``classes`` of each class.

    ``recall``: share of the objects whose best anchor has at least the IoU of ``recall_at``,
    whatever the strategy.
    """

    setting: str
    images: int
    of: int
    objects: int
    classes: list[int]
    rows: list[Row]
    recall_at: list[float]
    recall: list[float]


@dataclass(kw_only=True)
class _Count:
    """Of one value, so far."""

    value: float
    rule: Assigner | None
    refused: str = ""
    positives: int = 0
    without: int = 0
    ignored: int = 0
    by_class: NDArray[np.int64]


def sweep(source: Source, asked: SweepRequest, job: Job) -> None:
    """Do it, telling ``job`` after every batch of images; ends early when it is stopped.

    ``ValueError`` for a strategy that reads predictions, or has no such setting.
    """
    counts = _rules(asked, len(source.classes))
    step = max(1, -(-len(source.records) // asked.images))
    images = [str(i) for i in range(0, len(source.records), step)]
    covered, classes = np.zeros(len(_RECALL)), np.zeros(len(source.classes), np.int64)
    done = 0
    for part in batches(asked.state, images):
        if job.stopped:
            return
        for grid, targets in by_size(source, asked.state, part):
            fair = ~targets.ignore
            classes += of_classes(targets.labels[fair], len(classes))
            if bool(fair.any()):
                best = placed_iou(grid, targets.boxes[fair]).amax(1)
                covered += [int((best >= t).sum()) if t else len(best) for t in _RECALL]
            for count in counts:
                if job.stopped:
                    return
                _add(count, grid, targets)
        done += len(part)
        job.tell(done, len(images), _swept(asked, source, counts, done, classes, covered))
    if not images:
        job.tell(0, 0, _swept(asked, source, counts, 0, classes, covered))


def _rules(asked: SweepRequest, classes: int) -> list[_Count]:
    """A strategy for every value; those that it refuses say why."""
    chosen = asked.state.strategies[min(asked.panel, len(asked.state.strategies) - 1)]
    grid = asked.state.grid(asked.state.size)
    found, none = [], np.zeros(classes, np.int64)
    for value in np.linspace(asked.low, asked.high, asked.steps).round(6).tolist():
        settings = chosen.spec() | {asked.setting: value}
        try:
            found.append(_Count(value=value, rule=strategy(settings), by_class=none.copy()))
        except ValueError as problem:
            if "unknown setting" in str(problem):
                raise
            refused = str(problem)
            found.append(_Count(value=value, rule=None, refused=refused, by_class=none.copy()))
    if all(count.rule is None for count in found):
        raise ValueError(found[0].refused)
    first = next(count.rule for count in found if count.rule is not None)
    if needs_predictions(first, grid):
        name = type(first).__name__
        raise ValueError(
            f"{name} reads predictions: a sweep goes over geometry, without a detector"
        )
    return found


def _add(count: _Count, grid: Grid, targets: Targets) -> None:
    if count.rule is None:
        return
    given = count.rule(grid, targets)
    has = torch.bincount(given.target, minlength=len(targets)) > 0
    count.positives += len(given)
    lost = ~has & ~targets.ignore
    count.without += int(lost.sum())
    count.by_class += of_classes(targets.labels[lost], len(count.by_class))
    count.ignored += len(given.ignored)


def _swept(
    asked: SweepRequest,
    source: Source,
    counts: list[_Count],
    done: int,
    classes: NDArray[np.int64],
    covered: np.ndarray,
) -> Swept:
    objects = int(classes.sum())
    return {
        "setting": asked.setting,
        "images": done,
        "of": len(source.records),
        "objects": objects,
        "classes": classes.tolist(),
        "rows": [_row(count, objects) for count in counts],
        "recall_at": list(_RECALL),
        "recall": (covered / max(objects, 1)).tolist(),
    }


def _row(count: _Count, objects: int) -> Row:
    known, all_ = count.rule is not None, max(objects, 1)
    return {
        "value": count.value,
        "per_object": count.positives / all_ if known else None,
        "answered": (objects - count.without) / all_ if known else None,
        "without": count.without if known else None,
        "ignored": count.ignored if known else None,
        "by_class": count.by_class.tolist() if known else None,
        "refused": count.refused,
    }


def of_classes(labels: Tensor, classes: int) -> NDArray[np.int64]:
    """(classes,) how many of each."""
    return torch.bincount(labels, minlength=classes).numpy()
