"""What a user should know about a design, beside its numbers."""

from collections.abc import Iterator, Sequence

from kedge.anchors.presets import PresetLevel, Shape
from kedge.counted import count


def of_boxes(distinct: int, k: int, dropped: int) -> tuple[str, ...]:
    """Boxes that could not be used, and boxes that are too few for so many shapes."""
    notes = []
    if dropped:
        notes.append(f"left out: {count(dropped, 'box', 'boxes')} without positive finite sides")
    if distinct <= k:
        notes.append(
            f"only {count(distinct, 'different box', 'different boxes')} for "
            f"{count(k, 'shape')}: use k = {distinct}; "
            "the other shapes are rescaled copies"
        )
    return tuple(notes)


def of_levels(
    levels: Sequence[PresetLevel] | None, image_size: tuple[int, int] | None, objective: str
) -> tuple[str, ...]:
    """Shapes that look odd where they stand: larger than the input (H, W), smaller than a cell of
    their map, and smaller than every shape of a finer map.
    """
    used = sorted((level for level in levels or () if level.shapes), key=lambda x: x.stride)
    found = (_beyond(used, image_size), _below_a_cell(used, objective), _below_finer(used))
    return tuple(note for note in found if note)


def _beyond(levels: Sequence[PresetLevel], image_size: tuple[int, int] | None) -> str:
    height, width = image_size or (float("inf"), float("inf"))
    large = [x for x in _standing(levels) if x[0][0] > width or x[0][1] > height]
    return f"larger than the input of {width} x {height} (w x h): {_listed(large)}" if large else ""


def _below_a_cell(levels: Sequence[PresetLevel], objective: str) -> str:
    """Maps other than the finest, which has no finer one to offer."""
    small = [(shape, stride) for shape, stride in _standing(levels[1:]) if max(shape) < stride]
    if not small:
        return ""
    cure = "" if objective == "placed" else ' The objective "placed" designs for the grid.'
    return f"smaller than a cell: {_listed(small)}.{cure}"


def _below_finer(levels: Sequence[PresetLevel]) -> str:
    small = [
        (shape, coarse.stride)
        for i, coarse in enumerate(levels)
        for shape in coarse.shapes
        if any(_area(shape) < min(map(_area, fine.shapes)) for fine in levels[:i])
    ]
    return f"smaller than all shapes of a finer level: {_listed(small)}" if small else ""


def _standing(levels: Sequence[PresetLevel]) -> Iterator[tuple[Shape, float]]:
    return ((shape, level.stride) for level in levels for shape in level.shapes)


def _area(shape: Shape) -> float:
    return shape[0] * shape[1]


def _listed(shapes: Sequence[tuple[Shape, float]]) -> str:
    return ", ".join(f"{w:.1f} x {h:.1f} on stride {stride:g}" for (w, h), stride in shapes)
