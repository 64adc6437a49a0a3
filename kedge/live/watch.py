"""A run folder as it grows: losses, scores and the way of the shapes. It only reads files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from kedge.doctor.records import RunRecords, read_run
from kedge.live.state import Asked
from kedge.train.result import METRICS, RUN, SCORES, SHAPES, WEIGHTS

SHOWN = 400  # rows of a curve; of more, every second, third ... and the last are sent


class WatchRequest(Asked):
    """``stamp``: that of the answer that the page has."""

    stamp: str = ""


class Station(TypedDict):
    """The shapes (w, h) of all levels at one point of the run."""

    epoch: int
    step: int
    stage: str
    fit: float | None
    shapes: list[list[float]]


class Watched(TypedDict, total=False):
    """``same``: nothing new since ``stamp``. ``metrics``: losses by step, ``scores`` by epoch;
    ``left_out``: rows of the curves that are not sent. ``saved``: the shapes of the weights that
    were saved, which may be an average over the last steps; none before the first.
    """

    same: bool
    stamp: str
    title: str
    detector: str
    finished: bool
    epochs: int
    of_epochs: int
    losses: list[str]
    metrics: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    shapes: list[Station]
    left_out: int
    saved: list[list[float]]
    has_weights: bool


def watch(folder: Path | None, asked: WatchRequest) -> Watched:
    """What the run has left so far; ``ValueError`` where it is none, or damaged."""
    if folder is None:
        raise ValueError("there is no run to watch: start with kedge live --run runs/a")
    stamp = _stamp(folder)
    if stamp == asked.stamp:
        return {"same": True, "stamp": stamp}
    records = read_run(folder)
    metrics, shapes = _thin(records.metrics), _thin(records.shapes)
    return {
        "same": False,
        "stamp": stamp,
        "title": folder.name,
        "detector": records.config.detector,
        "finished": records.result is not None and records.result.finished,
        "epochs": _epochs(records),
        "of_epochs": records.config.epochs,
        "losses": ["loss", *records.loss_names()],
        "metrics": [dict(row) for row in metrics],
        "scores": [dict(row) for row in records.scores],
        "shapes": [_station(row) for row in shapes],
        "left_out": len(records.metrics) - len(metrics) + len(records.shapes) - len(shapes),
        "saved": [] if records.result is None else records.result.shapes,
        "has_weights": records.has_weights,
    }


def _stamp(folder: Path) -> str:
    """Changes when a file of the run does."""
    parts = []
    for name in (METRICS, SHAPES, SCORES, RUN, WEIGHTS):
        place = folder / name
        found = place.stat() if place.is_file() else None
        parts.append("-" if found is None else f"{found.st_size}.{found.st_mtime_ns}")
    return "/".join(parts)


def _epochs(records: RunRecords) -> int:
    rows = [*records.metrics[-1:], *records.shapes[-1:], *records.scores[-1:]]
    return max((int(row.get("epoch", 0)) for row in rows), default=0)


def _thin(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """At most about ``SHOWN`` of the rows, the first and the last among them."""
    step = max(1, -(-len(rows) // SHOWN))
    kept = list(rows[::step])
    return kept if not rows or kept[-1] is rows[-1] else [*kept, rows[-1]]


def _station(row: Mapping[str, Any]) -> Station:
    return {
        "epoch": int(row.get("epoch", 0)),
        "step": int(row.get("step", 0)),
        "stage": str(row.get("stage", "")),
        "fit": row.get("mean_best_iou"),
        "shapes": [[float(w), float(h)] for w, h in row["shapes"]],
    }
