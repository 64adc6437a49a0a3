"""The measures that may stand in the place of the IoU, by name."""

from typing import Any, Literal

from kedge.anchors.gcd import ByGCD
from kedge.anchors.grid import Grid
from kedge.anchors.measured import Measured
from kedge.anchors.nwd import ByNWD
from kedge.anchors.simd import BySimD
from kedge.types import Anchors

Measure = Literal["iou", "nwd", "simd", "gcd"]
MEASURES: dict[str, type[Measured]] = {"nwd": ByNWD, "simd": BySimD, "gcd": ByGCD}


def name_of(measure: Measure) -> str:
    """A measure as people write it: ``IoU``, ``NWD``."""
    return "IoU" if measure == "iou" else MEASURES[measure].__name__.removeprefix("By")


def measured(anchors: Anchors[Any], measure: Measure, what: str) -> Anchors[Any]:
    """The anchors, measured by ``measure`` with its published constants; ``"iou"``: as they are.

    ``ValueError``, which names the strategy ``what``, for another name, or anchors that are no
    grid."""
    if measure == "iou":
        return anchors
    if measure not in MEASURES:
        known = ", ".join(map(repr, ("iou", *MEASURES)))
        raise ValueError(f"{what}.measure is one of {known}, got {measure!r}")
    if not isinstance(anchors, Grid):
        raise ValueError(f"{what}(measure={measure!r}) needs a Grid: boxes stand in no cells")
    if measure not in anchors.measured:
        anchors.measured[measure] = MEASURES[measure](anchors)
    return anchors.measured[measure]
