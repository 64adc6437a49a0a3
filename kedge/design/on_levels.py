"""Shapes for the levels of a pyramid: what training starts from, and what its warm-up finds."""

from collections.abc import Sequence
from typing import Any

from kedge.anchors.presets import Shape
from kedge.design.fit import fit

RESTARTS = 8


def shapes_on_levels(
    wh: Any,
    *,
    image_size: tuple[int, int],
    strides: Sequence[float],
    per_level: Sequence[int],
    offset: float,
    weights: Any = None,
    seed: int = 0,
) -> list[list[Shape]]:
    """The shapes (w, h) of every level with which most boxes of sizes ``wh`` (n, 2) get an anchor
    of an IoU of .5 on the real cells, wherever in an input of (H, W) they stand; ``weights`` (n,):
    what each counts.

    Boxes are spread evenly over all places: those where they happened to stand are a sample of few,
    and shapes chosen for them served other images less. Shapes are in order of area within a level.
    """
    design = fit(
        wh,
        sum(per_level),
        "placed",
        image_size=image_size,
        strides=strides,
        per_level=per_level,
        offset=offset,
        restarts=RESTARTS,
        weights=weights,
        seed=seed,
    )
    assert design.levels is not None, "strides were given"
    return [list(level.shapes) for level in design.levels]
