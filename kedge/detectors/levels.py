"""The levels of a detector: a stride and shapes each."""

from collections.abc import Sequence

from torch import Tensor

from kedge.anchors import Level

Shapes = Sequence[tuple[float, float]] | Tensor


def levels_of(
    detector: str, strides: Sequence[float], shapes: Sequence[Shapes], offset: float = 0.5
) -> list[Level]:
    """A level for each stride; ``ValueError`` unless there are shapes for each.

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
    """The same for layers that all levels share: ``ValueError`` unless shapes are equally many."""
    levels = levels_of(detector, strides, shapes, offset)
    counts = [len(level) for level in shapes]
    if len(set(counts)) != 1:
        raise ValueError(
            f"{detector}'s layers are shared by all levels, so each needs equally many shapes; got "
            f"{counts}"
        )
    return levels


def of_one_level(detector: str, shapes: Shapes | Sequence[Shapes]) -> Shapes:
    """The (A, 2) shapes of a detector of one level, given as such or as a list of this one level's;
    ``ValueError`` for more levels."""
    nested = not isinstance(shapes, Tensor) and len(shapes) > 0 and len(shapes[0]) > 0
    if nested and not isinstance(shapes[0][0], (int, float)):
        if len(shapes) != 1:
            raise ValueError(f"{detector} has one level, got shapes for {len(shapes)}")
        return shapes[0]  # pyright: ignore[reportReturnType]
    return shapes  # pyright: ignore[reportReturnType]
