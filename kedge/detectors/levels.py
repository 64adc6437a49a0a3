"""The levels of a detector whose layers are shared by all of them."""

from collections.abc import Sequence

from torch import Tensor

from kedge.anchors import Level

Shapes = Sequence[tuple[float, float]] | Tensor


def shared_levels(
    detector: str, strides: Sequence[int], shapes: Sequence[Shapes], offset: float
) -> list[Level]:
    """A level for each stride; ``ValueError`` unless each has shapes, and equally many.

    ``detector`` is its name in errors. ``offset``: where in its cell an anchor's centre lies.
    """
    if len(shapes) != len(strides):
        raise ValueError(
            f"{detector} has {len(strides)} levels of stride {tuple(strides)}, "
            f"got shapes for {len(shapes)}: pass one list of (w, h) per level"
        )
    counts = [len(level) for level in shapes]
    if len(set(counts)) != 1:
        raise ValueError(
            f"{detector}'s layers are shared by all levels, so each needs equally many shapes; got "
            f"{counts}"
        )
    return [Level(stride=s, shapes=a, offset=offset) for s, a in zip(strides, shapes)]
