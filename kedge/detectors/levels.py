"""The levels of a detector, with shapes that its layers can answer for."""

from collections.abc import Sequence

from torch import Tensor

from kedge.anchors import Level

Shapes = Sequence[tuple[float, float]] | Tensor


def own_levels(
    detector: str, strides: Sequence[float], shapes: Sequence[Shapes], offset: float
) -> list[Level]:
    """A level for each stride, with as many shapes as it is given; ``ValueError`` unless each has.

    ``detector`` is its name in errors. ``offset``: where in its cell an anchor's centre lies.
    """
    if len(shapes) != len(strides):
        raise ValueError(
            f"{detector} has {len(strides)} levels of stride {tuple(strides)}, "
            f"got shapes for {len(shapes)}: pass one list of (w, h) per level"
        )
    return [Level(stride=s, shapes=a, offset=offset) for s, a in zip(strides, shapes)]


def shared_levels(
    detector: str, strides: Sequence[float], shapes: Sequence[Shapes], offset: float
) -> list[Level]:
    """The same for layers that are shared by all levels: ``ValueError`` unless each has equally
    many shapes."""
    levels = own_levels(detector, strides, shapes, offset)
    counts = [len(level) for level in shapes]
    if len(set(counts)) != 1:
        raise ValueError(
            f"{detector}'s layers are shared by all levels, so each needs equally many shapes; got "
            f"{counts}"
        )
    return levels
