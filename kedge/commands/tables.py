"""Results as tables in the terminal."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from kedge.counted import count
from kedge.doctor.finding import percent
from kedge.train.result import RunResult, Station, unanswered

COLUMNS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100", "VOC")


def number(value: Any) -> str:
    """A score to three places; a dash where it is undefined."""
    if not isinstance(value, (int, float)) or math.isnan(value):
        return "-"
    return f"{value:.3f}"


def shapes_text(shapes: Sequence[Sequence[float]]) -> str:
    """``w x h`` of every shape, by rising area."""
    ordered = sorted(shapes, key=lambda shape: shape[0] * shape[1])
    return "  ".join(f"{w:.1f}x{h:.1f}" for w, h in ordered)


def stations_table(stations: Sequence[Station], title: str = "Anchor shapes") -> Table:
    """Shapes at every station and their mean best IoU with the training boxes as the network sees
    them (Zhong et al., arXiv:1812.00469, table 4)."""
    table = Table(title=title, title_justify="left")
    table.add_column("station")
    table.add_column("mean best IoU", justify="right")
    table.add_column("shapes, w x h in pixels, by area")
    for station in stations:
        table.add_row(station.name, number(station.mean_best_iou), shapes_text(station.shapes))
    return table


def scores_table(
    rows: Sequence[tuple[str, dict[str, Any]]],
    title: str = "Scores",
    columns: Sequence[str] = COLUMNS,
) -> Table:
    """COCO metrics and VOC AP, a row each."""
    table = Table(title=title, title_justify="left")
    table.add_column("", overflow="fold")
    names = [name for name in columns if any(name in scores for _, scores in rows)]
    for name in names:
        table.add_column(name, justify="right")
    for label, scores in rows:
        table.add_row(label, *(number(scores.get(name)) for name in names))
    return table


def recall_table(scores: dict[str, Any], title: str = "Recall of proposals") -> Table:
    """Recall of the best k proposals of an image, over IoU .5 to .95, at .5, and by size of object;
    a row for each k that `scores` tell of (``AR@k`` ...)."""
    table = Table(title=title, title_justify="left")
    kinds = {"AR": "AR", "AR50": "at IoU .5", "ARs": "small", "ARm": "medium", "ARl": "large"}
    table.add_column("of an image", justify="right")
    for shown in kinds.values():
        table.add_column(shown, justify="right")
    for key in scores:
        name, _, most = key.partition("@")
        if name == "AR" and most:
            table.add_row(most, *(number(scores.get(f"{kind}@{most}")) for kind in kinds))
    return table


def classes_table(classes: Sequence[str], scores: dict[str, Any]) -> Table:
    """AP, AP50 and the number of objects of every class."""
    table = Table(title="By class", title_justify="left")
    table.add_column("class")
    for name in ("AP", "AP50", "objects"):
        table.add_column(name, justify="right")
    columns = zip(
        classes,
        scores["AP_per_class"],
        scores["AP50_per_class"],
        scores["objects_per_class"],
        strict=True,
    )
    for name, ap, ap50, objects in columns:
        table.add_row(name, number(ap), number(ap50), str(objects))
    return table


def print_result(console: Console, result: RunResult) -> None:
    """The tables of a run: shapes at every station, scores, scores by class, where it lies, and how
    many objects it was not taught."""
    if result.stations:
        console.print(stations_table(result.stations))
    if result.scores:
        split = f"{result.out.name} on {result.eval_split}"
        console.print(scores_table([(split, result.scores)]))
        if any(name.startswith("AR@") for name in result.scores):
            console.print(recall_table(result.scores))
        console.print(classes_table(result.classes, result.scores))
    pace = result.seconds_per_step
    each = "" if pace is None else f", {1000 * pace:.0f} ms a step"
    steps = count(result.steps, "step")
    console.print(f"{steps} in {result.seconds:.0f} s{each}; files in {result.out}")
    without, objects = unanswered(result.out)
    if without:
        of = f"{without:,} of {count(objects, 'object')} ({percent(without / objects)})"
        console.print(
            f"{of} of the logged steps since half-way had no positive anchor: "
            f"kedge doctor --run {result.out} says why",
            soft_wrap=True,
        )
