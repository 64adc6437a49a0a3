"""Random grids and targets for property tests: small, non-square, and full of awkward cases."""

import torch
from hypothesis import strategies as st

from kedge import Grid, Level, Targets

STRIDES = [3, 4.0, 7, 8, 10.5, 16, (8, 5), (4.5, 12), 33]
OFFSETS = [0.5, 0.0, 0.3, 0.9]
SHAPES = [1.0, 2.5, 4, 8, 11.3, 16, 22.6, 40, 64, 150]


@st.composite
def levels(draw, points: bool = False) -> Level:
    """One level; ``points``: without shapes."""
    count = draw(st.integers(1, 3))
    side = st.sampled_from(SHAPES)
    shapes = None if points else [(draw(side), draw(side)) for _ in range(count)]
    size = draw(st.sampled_from([None, None, None, (1, 1), (3, 5), (7, 2)]))
    return Level(
        stride=draw(st.sampled_from(STRIDES)),
        shapes=shapes,
        offset=draw(st.sampled_from(OFFSETS)),
        size=size,
    )


@st.composite
def grids(draw, dtype: torch.dtype = torch.float32, points: bool = False) -> Grid:
    """One to three levels over a small image that is hardly ever square."""
    image_size = draw(st.integers(5, 90)), draw(st.integers(5, 130))
    pyramid = draw(st.lists(levels(points), min_size=1, max_size=3))
    grid = Grid(image_size, pyramid)
    return grid.with_shapes(grid.shapes.to(dtype))


@st.composite
def boxes(draw, grid: Grid) -> list[float]:
    """One box: anywhere, an anchor exactly, a pixel, without area, huge, or outside the image."""
    kinds = ["any", "any", "any", "anchor", "pixel", "empty", "huge", "outside"]
    kind = draw(st.sampled_from(kinds))
    if kind == "anchor":
        return grid.boxes()[draw(st.integers(0, len(grid) - 1))].tolist()
    part = draw(st.sampled_from([1, 4, 7]))  # whole pixels make ties
    x = draw(st.integers(-20 * part, 120 * part)) / part
    y = draw(st.integers(-20 * part, 90 * part)) / part
    if kind == "outside":
        return [x + 1000, y, x + 1010, y + 12.5]
    if kind == "huge":
        return [x - 3000, y - 2000, x + 4000, y + 5000]
    if kind == "pixel":
        return [x, y, x + 1, y + 1]
    w, h = (draw(st.integers(0, 150 * part)) / part for _ in range(2))
    return [x, y, x + (0 if kind == "empty" else w), y + h]


@st.composite
def targets(draw, grid: Grid, dtype: torch.dtype = torch.float32, crowds: bool = True) -> Targets:
    """One to three images of up to five objects, some of them twice, some of them crowds."""
    batch = []
    for _ in range(draw(st.integers(1, 3))):
        found = draw(st.lists(boxes(grid), max_size=4))
        if found and draw(st.booleans()):
            found.append(found[0])
        crowd = [crowds and draw(st.integers(0, 3)) == 0 for _ in found]
        labels = [draw(st.integers(0, 4)) for _ in found]
        batch.append(
            {
                "boxes": torch.tensor(found, dtype=dtype).reshape(-1, 4),
                "labels": torch.tensor(labels, dtype=torch.int64),
                "iscrowd": torch.tensor(crowd, dtype=torch.bool),
            }
        )
    return Targets.from_list(batch)


@st.composite
def scenes(
    draw, dtype: torch.dtype = torch.float32, points: bool = False, crowds: bool = True
) -> tuple[Grid, Targets]:
    """A grid and a batch of targets on it."""
    grid = draw(grids(dtype, points))
    return grid, draw(targets(grid, dtype, crowds))
