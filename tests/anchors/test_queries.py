"""Every query on a grid equals the dense brute force, pair by pair and bit by bit."""

import pytest
import torch
from anchors.scenes import scenes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kedge import Grid, Level, Targets
from kedge.anchors import Pairs
from kedge.anchors.boxes import Free
from kedge.anchors.queries import cells
from kedge.anchors.queries import overlap as windows
from kedge.anchors.queries.table import tables
from kedge.boxes import iof, iou, nwd, rfd

pytestmark = pytest.mark.usefixtures("both_ways")

FEW = settings(max_examples=80, deadline=None)
DTYPES = st.sampled_from([torch.float32, torch.float64])


def ids(pairs: Pairs) -> list[tuple[int, int]]:
    return sorted(zip(pairs.anchor.tolist(), pairs.target.tolist()))


def chosen(grid: Grid, targets: Targets, mask: Tensor) -> list[tuple[int, int]]:
    """The pairs of a dense (N, G) mask as (flat anchor, target), crowds left out."""
    index, target = (mask & ~targets.ignore).nonzero(as_tuple=True)
    return sorted(zip((targets.image[target] * len(grid) + index).tolist(), target.tolist()))


def xywh(boxes: Tensor) -> Tensor:
    return torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], -1)


def dense(grid: Grid, targets: Targets, of=iou) -> Tensor:
    return of(grid.boxes()[:, None], targets.boxes[None])


@st.composite
def any_scene(draw, points: bool = False):
    return draw(scenes(draw(DTYPES), points=points))


@FEW
@given(any_scene(), st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.5, 0.7, 1.0]))
def test_overlapping_equals_the_dense_matrix(scene, threshold):
    grid, targets = scene
    value = dense(grid, targets)
    pairs = grid.overlapping(targets, threshold)
    assert ids(pairs) == chosen(grid, targets, (value >= threshold) & (value > 0))
    assert torch.equal(pairs.iou(), value[grid.local(pairs.anchor), pairs.target])


@FEW
@given(any_scene(), st.sampled_from([0.0, 0.3]), st.integers(0, 2**31))
def test_overlapping_among_is_overlapping_restricted(scene, threshold, seed):
    grid, targets = scene
    total = len(grid) * targets.batch_size
    among = torch.randperm(total, generator=torch.Generator().manual_seed(seed))[: total // 3]
    allowed = set(among.tolist())
    want = [pair for pair in ids(grid.overlapping(targets, threshold)) if pair[0] in allowed]
    assert ids(grid.overlapping(targets, threshold, among=among)) == want


@FEW
@given(any_scene(), st.integers(0, 2**31))
def test_every_anchor_may_have_its_own_least_iou(scene, seed):
    grid, targets = scene
    rng = torch.Generator().manual_seed(seed)
    total = len(grid) * targets.batch_size
    among = torch.randperm(total, generator=rng)[: total // 2 + 1]
    floor = torch.rand(len(among), generator=rng, dtype=grid.shapes.dtype) ** 2
    least = dict(zip(among.tolist(), floor.tolist()))
    whole = grid.overlapping(targets, 0.0)
    enough = [v >= least.get(a, 2) for a, v in zip(whole.anchor.tolist(), whole.iou().tolist())]
    want = ids(whole.select(torch.tensor(enough, dtype=torch.bool)))
    assert ids(grid.overlapping(targets, floor, among=among)) == want
    free = Free(grid.boxes())
    assert ids(free.overlapping(targets, floor, among=among)) == want


@FEW
@given(any_scene())
def test_best_is_every_anchor_that_ties_for_the_largest_iou(scene):
    grid, targets = scene
    value = dense(grid, targets)
    top = value.amax(0) if len(targets) else value.new_zeros(0)
    pairs = grid.best(targets)
    assert ids(pairs) == chosen(grid, targets, (value == top) & (value > 0))
    assert torch.equal(pairs.iou(), top[pairs.target])


@FEW
@given(any_scene())
def test_placed_iou_is_the_largest_over_all_cells(scene):
    grid, targets = scene
    got = windows.placed_iou(grid, targets.boxes)
    row = grid.row_and_cell(torch.arange(len(grid)))[0]
    for s in range(grid.num_shapes):
        want = dense(grid, targets)[row == s].amax(0) if len(targets) else got.new_zeros(0)
        # the closed form is in double precision, so it is equal up to the rounding of coordinates
        assert torch.allclose(got[:, s].to(want), want, rtol=1e-4, atol=1e-4)


def inside(points: Tensor, region: Tensor, margin: float) -> Tensor:
    low = points[:, None] - region[..., :2] > margin
    return (low & (region[..., 2:] - points[:, None] > margin)).all(-1)


@FEW
@given(any_scene(), st.sampled_from([0.0, 0.01, 2.0, -3.0]))
def test_inside_equals_the_dense_comparison(scene, margin):
    grid, targets = scene
    want = chosen(grid, targets, inside(grid.points(), targets.boxes, margin))
    assert ids(grid.inside(targets, margin=margin)) == want


@FEW
@given(any_scene(), st.sampled_from([0.0, 0.5]))
def test_inside_takes_a_region_per_level(scene, margin):
    grid, targets = scene
    reach = torch.tensor([1.5 * max(level.strides) for level in grid.levels])
    centre = (targets.boxes[:, :2] + targets.boxes[:, 2:]) / 2
    region = torch.cat(
        [centre[:, None] - reach[:, None], centre[:, None] + reach[:, None]], -1
    )  # (G, L, 4)
    region[: len(region) // 2] = -torch.arange(4.0).to(region)  # an empty region has no pairs
    own = region[:, grid.level()].transpose(0, 1)  # (N, G, 4)
    want = chosen(grid, targets, inside(grid.points(), own, margin))
    assert ids(grid.inside(targets, region, margin)) == want
    first = region[:, 0]
    want = chosen(grid, targets, inside(grid.points(), first, margin))
    assert ids(grid.inside(targets, first, margin)) == want


@FEW
@given(any_scene(), st.integers(1, 14))
def test_nearest_is_the_first_k_cells_of_a_stable_sort(scene, k):
    grid, targets = scene
    centre = (targets.boxes[:, :2].double() + targets.boxes[:, 2:].double()) / 2
    away = (grid.points().double()[:, None] - centre).square().sum(-1)
    want = torch.zeros_like(away, dtype=torch.bool)
    for level, per in enumerate(grid.shapes_per_level):
        index = (grid.level() == level).nonzero()[:, 0]
        order = away[index].argsort(dim=0, stable=True)[: k * per]
        want[index[order], torch.arange(len(targets))] = True
    assert ids(grid.nearest(targets, k)) == chosen(grid, targets, want)


@FEW
@given(any_scene(), st.integers(1, 6), st.sampled_from(["l1", "l2", "rfd", "nwd"]))
def test_closest_has_the_k_largest_values_of_any_such_measure(scene, k, name):
    grid, targets = scene
    by = {
        "l1": lambda a, b: -(xywh(a) - xywh(b)).abs().sum(-1),
        "l2": lambda a, b: -(xywh(a) - xywh(b)).square().sum(-1),
        "rfd": rfd,
        "nwd": nwd,
    }[name]
    pairs = grid.closest(targets, k, by)
    value = by(pairs.boxes(), pairs.target_boxes())
    for i in range(len(targets)):
        own = grid.boxes(), targets.boxes[i].expand(len(grid), 4)
        want = by(*own).sort(descending=True).values[:k] * ~targets.ignore[i]
        got = value[pairs.target == i].sort(descending=True).values
        # by value: where distances tie in the last bit, either anchor will do
        assert torch.allclose(got, want[: len(got)], rtol=1e-5)
        assert len(got) == (0 if targets.ignore[i] else min(k, len(grid)))


@FEW
@given(any_scene())
def test_in_cell_is_every_shape_of_one_cell_on_every_level(scene):
    grid, targets = scene
    want = []
    for i, (box, image) in enumerate(zip(targets.boxes, targets.image.tolist())):
        if targets.ignore[i]:
            continue
        first = image * len(grid)
        for level, (rows, columns), per in zip(grid.levels, grid.sizes, grid.shapes_per_level):
            sy, sx = level.strides
            centre = (box[:2] + box[2:]) / 2
            x = min(max(int((centre[0] / sx).floor()), 0), columns - 1)
            y = min(max(int((centre[1] / sy).floor()), 0), rows - 1)
            want += [(first + (y * columns + x) * per + shape, i) for shape in range(per)]
            first += rows * columns * per
    assert ids(grid.in_cell(targets)) == sorted(want)


@pytest.mark.parametrize("far", [1e6, 1e12, 1e30])
def test_an_object_however_far_belongs_to_the_nearest_cell(far):
    grid = Grid(image_size=(64, 96), levels=[Level(stride=16, shapes=[(16, 16)])])
    box = torch.tensor([[far, far, 1.5 * far, 1.5 * far], [-1.5 * far, -1.5 * far, -far, -far]])
    targets = Targets.from_list([{"boxes": box}])
    assert grid.in_cell(targets).anchor.tolist() == [len(grid) - 1, 0]


@FEW
@given(any_scene(), st.sampled_from([0.1, 0.5, 0.9, 1.0]))
def test_covered_is_the_share_of_the_anchor_that_one_crowd_covers(scene, share):
    grid, targets = scene
    by = dense(grid, targets, of=iof) >= share
    want = set()
    for i in targets.ignore.nonzero()[:, 0].tolist():
        first = int(targets.image[i]) * len(grid)
        want |= {first + a for a in by[:, i].nonzero()[:, 0].tolist()}
    assert grid.covered(targets, share).tolist() == sorted(want)


@FEW
@given(any_scene(points=True))
def test_points_behave_as_boxes_of_the_strides_size(scene):
    grid, targets = scene
    side = grid.boxes()[:, 2:] - grid.boxes()[:, :2]
    assert torch.allclose(side, grid.stride(), atol=1e-4)
    value = dense(grid, targets)
    assert ids(grid.overlapping(targets, 0.2)) == chosen(grid, targets, value >= 0.2)


@settings(max_examples=30, deadline=None)
@given(any_scene())
def test_blocks_of_objects_do_not_change_the_answer(scene):
    grid, targets = scene
    asked = (
        lambda: grid.overlapping(targets, 0.1),
        lambda: grid.best(targets),
        lambda: grid.inside(targets),
        lambda: grid.nearest(targets, 5),
    )
    whole = [ask() for ask in asked]
    usual, cells.BLOCK = cells.BLOCK, 1  # one object at a time
    try:
        for one, ask in zip(whole, asked):
            again = ask()
            assert torch.equal(one.anchor, again.anchor)
            assert torch.equal(one.target, again.target)
    finally:
        cells.BLOCK = usual


def test_pairs_are_ordered_by_target():
    grid = Grid((64, 96), [Level(stride=8, shapes=[(16, 8), (30, 30)]), Level(stride=16)])
    one = torch.tensor([[3.0, 3, 30, 20], [40, 10, 70, 60]])
    targets = Targets.from_list([{"boxes": one}, {"boxes": one + 5}])
    for pairs in (
        grid.overlapping(targets, 0.1),
        grid.best(targets),
        grid.inside(targets),
        grid.nearest(targets, 3),
        grid.in_cell(targets),
    ):
        assert bool((pairs.target.diff() >= 0).all())
        assert len(pairs.target.unique()) == 4


def test_by_hand_on_a_picture_of_six_cells():
    # two rows of three 10 px cells, one anchor 10 x 10 each; an object over the first two
    grid = Grid((20, 30), [Level(stride=10, shapes=[(10, 10)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 20, 10]])}])
    assert grid.overlapping(targets, 0.5).anchor.tolist() == [0, 1]  # 100 of 200 px each
    assert grid.best(targets).anchor.tolist() == [0, 1]  # a tie
    assert grid.inside(targets).anchor.tolist() == [0, 1]
    assert grid.in_cell(targets).anchor.tolist() == [1]  # centre (10, 5) is the second cell's edge
    # centres at 5, 15, 25: the first two are 5 px away, the two below them 5 and 10 px
    assert sorted(grid.nearest(targets, 3).anchor.tolist()) == [0, 1, 3]


def test_a_large_object_among_thousands_of_anchors_ties_with_its_neighbours():
    grid = Grid((400, 600), [Level(stride=4, shapes=[(8, 8)])])
    targets = Targets.from_list([{"boxes": torch.tensor([[100.0, 100, 300, 200]])}])
    # anchors whose centres 2 + 4i are in [104, 296] and [104, 196] lie wholly inside
    assert len(grid.best(targets)) == 48 * 23


def test_rows_at_both_sides_that_only_their_squares_make_equal():
    """In double precision |7.2 - 15.2| = 8 and |23.2 - 15.2| is a hair less, their squares plus
    16 ** 2 are one number: the lower anchor first, though its row is the farther one."""
    grid = Grid((9, 33), [Level(stride=8, shapes=[(1, 1)], offset=0.9, size=(7, 2))])
    grid = grid.with_shapes(grid.shapes.double())
    box = torch.tensor([[30.7, -4.8, 31.7, 35.2]], dtype=torch.float64)
    near = grid.nearest(Targets.from_list([{"boxes": box}]), 2)
    assert sorted(near.anchor.tolist()) == [1, 3]


@pytest.mark.parametrize("k", [0, -1])
def test_nearest_refuses_fewer_than_one_cell(k):
    grid = Grid((20, 30), [Level(stride=10)])
    targets = Targets.from_list([{"boxes": torch.zeros(1, 4)}])
    with pytest.raises(ValueError, match="k must be at least 1"):
        grid.nearest(targets, k)


def test_a_region_of_the_wrong_shape_is_named():
    grid = Grid((20, 30), [Level(stride=10)])
    targets = Targets.from_list([{"boxes": torch.zeros(2, 4)}])
    with pytest.raises(ValueError, match=r"region must be \(2, 4\)"):
        grid.inside(targets, torch.zeros(3, 4))


def test_a_share_of_zero_is_refused():
    grid = Grid((20, 30), [Level(stride=10)])
    targets = Targets.from_list([{"boxes": torch.zeros(2, 4)}])
    with pytest.raises(ValueError, match="min_iof must be positive"):
        grid.covered(targets, 0.0)


def test_a_million_objects_would_fit_thirty_thousand_do():
    torch.manual_seed(0)
    corner = torch.rand(30_000, 2) * torch.tensor([4000, 3000])
    boxes = torch.cat([corner, corner + 4 + 20 * torch.rand(30_000, 2)], 1)
    grid = Grid(
        (3000, 4000), [Level(stride=8, shapes=[(16, 16)]), Level(stride=16, shapes=[(32, 24)])]
    )
    targets = Targets.from_list([{"boxes": boxes}])
    with tables(False):  # one of all pairs would take 28 GB
        pairs = grid.overlapping(targets, 0.4)
    sample = torch.arange(0, 30_000, 3000)
    value = iou(grid.boxes()[:, None], boxes[sample][None])
    index, row = (value >= 0.4).nonzero(as_tuple=True)
    mine = torch.isin(pairs.target, sample)
    assert ids(pairs.select(mine)) == sorted(zip(index.tolist(), sample[row].tolist()))


@pytest.mark.parametrize("anchors", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("objects", [torch.float16, torch.float32, torch.float64])
def test_no_precision_rounds_the_areas_of_a_table(anchors, objects):
    """Large boxes, whose areas half precision cannot hold; asked twice, as a grid keeps areas."""
    shapes = torch.tensor([(37.3, 61.7), (300.0, 280.0)]).to(anchors)
    grid = Grid(image_size=(320, 400), levels=[Level(stride=32, shapes=shapes)])
    rng = torch.Generator().manual_seed(3)
    corner, side = (torch.rand(9, 2, generator=rng) * most for most in (150, 240))
    boxes = torch.cat([corner, corner + side + 5], 1).to(objects)
    for dtype in (objects, torch.float32):
        targets = Targets.from_list([{"boxes": boxes.to(dtype)}])
        pairs = grid.overlapping(targets, 0.1)
        assert len(pairs) > 50
        wanted = iou(grid.boxes(pairs.anchor), targets.boxes[pairs.target])
        assert pairs.iou().dtype == wanted.dtype
        assert torch.equal(pairs.iou(), wanted)
