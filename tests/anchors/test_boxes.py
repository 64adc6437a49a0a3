"""Free answers the same queries as a Grid, and equals the dense form where there is no grid."""

import pytest
import torch
from anchors.scenes import scenes
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge import Boxes, Detections, Free, Targets
from kedge.boxes import iof, iou, rfd

pytestmark = pytest.mark.usefixtures("both_ways")

FEW = settings(max_examples=60, deadline=None)


def ids(pairs):
    return sorted(zip(pairs.anchor.tolist(), pairs.target.tolist()))


@st.composite
def free_scenes(draw):
    """A grid's boxes, shaken, as one list for all images or one for each; its targets."""
    grid, targets = draw(scenes())
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    own = draw(st.booleans())
    shape = (targets.batch_size, len(grid), 4) if own else (len(grid), 4)
    boxes = grid.boxes() + 6 * torch.rand(*shape, generator=rng) * draw(st.sampled_from([0, 1]))
    boxes = torch.cat([boxes[..., :2], torch.maximum(boxes[..., :2], boxes[..., 2:])], -1)
    return Free(boxes), targets


def dense(free: Free, targets: Targets, of) -> torch.Tensor:
    """(G, N) of every target with the anchors of its image."""
    boxes = free.boxes().view(-1, free.per_image, 4).expand(targets.batch_size, -1, 4)
    boxes = boxes[targets.image]
    return of(boxes, targets.boxes[:, None].expand_as(boxes))


def chosen(free: Free, targets: Targets, mask: torch.Tensor):
    target, anchor = (mask & ~targets.ignore[:, None]).nonzero(as_tuple=True)
    return sorted(zip((targets.image[target] * free.per_image + anchor).tolist(), target.tolist()))


@FEW
@given(free_scenes(), st.sampled_from([0.0, 0.1, 0.5, 0.9]))
def test_overlapping_and_best(scene, threshold):
    free, targets = scene
    value = dense(free, targets, iou)
    pairs = free.overlapping(targets, threshold)
    assert ids(pairs) == chosen(free, targets, (value >= threshold) & (value > 0))
    top = value.amax(1, keepdim=True) if len(targets) else value
    assert ids(free.best(targets)) == chosen(free, targets, (value == top) & (value > 0))


@FEW
@given(free_scenes(), st.integers(0, 2**31))
def test_overlapping_among_with_a_floor_of_its_own(scene, seed):
    free, targets = scene
    rng = torch.Generator().manual_seed(seed)
    total = free.total(targets.batch_size)
    among = torch.randperm(total, generator=rng)[: total // 2 + 1]
    floor = torch.rand(len(among), generator=rng)
    full = torch.full((total,), 2.0).scatter(0, among, floor).view(-1, free.per_image)
    value = dense(free, targets, iou)
    want = chosen(free, targets, (value >= full[targets.image]) & (value > 0))
    assert ids(free.overlapping(targets, floor, among=among)) == want


@FEW
@given(free_scenes(), st.sampled_from([0.0, 0.01, 2.0]))
def test_inside(scene, margin):
    free, targets = scene

    def by(a, b):
        point = (a[..., :2] + a[..., 2:]) / 2
        return ((point - b[..., :2] > margin) & (b[..., 2:] - point > margin)).all(-1)

    assert ids(free.inside(targets, margin=margin)) == chosen(
        free, targets, dense(free, targets, by)
    )


@FEW
@given(free_scenes(), st.integers(1, 6), st.booleans())
def test_closest_and_nearest(scene, k, by_centre):
    free, targets = scene

    def nearness(a, b):
        centre = (a[..., :2].double() + a[..., 2:]) / 2 - (b[..., :2].double() + b[..., 2:]) / 2
        return -centre.square().sum(-1)

    by = nearness if by_centre else rfd
    pairs = free.nearest(targets, k) if by_centre else free.closest(targets, k, rfd)
    got = by(pairs.boxes(), pairs.target_boxes())
    want = dense(free, targets, by).sort(dim=1, descending=True).values[:, :k]
    for i in (~targets.ignore).nonzero()[:, 0].tolist():
        mine = got[pairs.target == i].sort(descending=True).values
        assert torch.allclose(mine, want[i], rtol=1e-4)
    assert not bool(targets.ignore[pairs.target].any())


@FEW
@given(free_scenes(), st.sampled_from([0.3, 0.5, 1.0]))
def test_covered(scene, share):
    free, targets = scene
    mask = (dense(free, targets, iof) >= share) & targets.ignore[:, None]
    target, anchor = mask.nonzero(as_tuple=True)
    want = (targets.image[target] * free.per_image + anchor).unique()
    assert torch.equal(free.covered(targets, share), want)


def test_equal_distances_prefer_the_lower_anchor():
    free = Free(torch.tensor([[0.0, 0, 2, 2], [4, 0, 6, 2], [0, 4, 2, 6], [9, 9, 11, 11]]))
    targets = Targets.from_list([{"boxes": torch.tensor([[2.0, 2, 4, 4]])}])
    assert free.nearest(targets, 2).anchor.tolist() == [0, 1]


def test_no_anchors_and_no_targets():
    none = Free(torch.zeros(0, 4))
    targets = Targets.from_list([{"boxes": torch.tensor([[2.0, 2, 4, 4]])}])
    for free, asked in ((none, targets), (Free(torch.ones(3, 4)), Targets.from_list([]))):
        for pairs in (
            free.overlapping(asked, 0.0),
            free.best(asked),
            free.inside(asked),
            free.nearest(asked, 2),
        ):
            assert len(pairs) == 0
        assert len(free.covered(asked)) == 0


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (torch.zeros(4), r"\(N, 4\) or \(B, N, 4\)"),
        (torch.zeros(2, 5), r"\(N, 4\)"),
        (
            torch.tensor([[0.0, 0, 1, 1], [0, 0, float("inf"), 1]]),
            "anchor box 1 is NaN or infinite",
        ),
    ],
)
def test_errors(boxes, message):
    with pytest.raises(ValueError, match=message):
        Free(boxes)
    free = Free(torch.zeros(2, 4))
    none = Targets.from_list([{"boxes": []}])
    with pytest.raises(ValueError, match="no cells"):
        free.in_cell(none)
    with pytest.raises(ValueError, match="k must be at least 1"):
        free.nearest(none, 0)


# -- packed: any number of boxes an image ----------------------------------------------------------


@st.composite
def packed_scenes(draw):
    """Targets, and shaken boxes of a grid, some of them only, in every image."""
    grid, targets = draw(scenes())
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    lists = []
    for _ in range(targets.batch_size):
        keep = torch.rand(len(grid), generator=rng) < draw(st.sampled_from([0.0, 0.3, 0.9]))
        boxes = grid.boxes()[keep]
        lists.append(boxes + 4 * torch.rand(len(boxes), 1, generator=rng))
    return lists, targets


def one_by_one(lists, targets, ask):
    """(row of the batch, target) of what ``ask(boxes, targets)`` says image by image."""
    found, row, first = [], 0, 0
    for image, boxes in enumerate(lists):
        mine = (targets.image == image).nonzero()[:, 0]
        own = Targets(
            boxes=targets.boxes[mine], labels=targets.labels[mine], ignore=targets.ignore[mine],
            image=torch.zeros_like(mine), batch_size=1,
        )  # fmt: skip
        pairs = ask(Boxes(boxes), own)
        found += [(a + row, t + first) for a, t in ids(pairs)]
        row, first = row + len(boxes), first + len(mine)
    return sorted(found)


@FEW
@given(packed_scenes(), st.integers(1, 5))
def test_ragged_lists_answer_as_their_images_do(scene, k):
    lists, targets = scene
    packed = Boxes.from_list(lists)
    assert packed.total(targets.batch_size) == sum(map(len, lists))
    assert packed.count(targets.batch_size).tolist() == [len(part) for part in lists]
    for ask in (
        lambda boxes, own: boxes.overlapping(own, 0.3),
        lambda boxes, own: boxes.best(own),
        lambda boxes, own: boxes.inside(own),
        lambda boxes, own: boxes.nearest(own, k),
        lambda boxes, own: boxes.closest(own, k, rfd),
    ):
        pairs = ask(packed, targets)
        assert ids(pairs) == one_by_one(lists, targets, ask)
        assert torch.equal(packed.image_of(pairs.anchor), targets.image[pairs.target])


def test_levels_and_strides_of_the_grid_that_boxes_came_from():
    boxes = torch.tensor([[0.0, 0, 8, 8], [8, 0, 16, 8], [0, 0, 16, 16], [16, 0, 32, 16]])
    strides = torch.tensor([[8.0, 8], [8, 8], [16, 16], [16, 16]])
    levels = torch.tensor([0, 0, 1, 1])
    refined = Boxes(
        boxes, torch.zeros(4).long(), batch_size=1, strides=strides, levels=levels, num_levels=2
    )
    targets = Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 20, 20]])}])
    assert refined.nearest(targets, 1).anchor.tolist() == [1, 2]
    assert refined.level_strides().tolist() == [[8, 8], [16, 16]]
    region = torch.tensor([[[0.0, 0, 9, 9], [9, 0, 40, 40]]])
    assert refined.inside(targets, region).anchor.tolist() == [0, 3]
    kept = refined.select(torch.tensor([1, 3]))
    assert kept.stride(torch.tensor([1])).tolist() == [[16, 16]]
    assert kept.level(torch.tensor([0, 1])).tolist() == [0, 1]


def test_lists_of_other_images_are_refused():
    two = Boxes.from_list([torch.ones(2, 4), torch.zeros(0, 4)])
    three = Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 1, 1]])}] * 3)
    asks = (two.best, two.inside, lambda t: two.nearest(t, 1), lambda t: two.overlapping(t, 0.5))
    for ask in (*asks, two.covered):
        with pytest.raises(ValueError, match="of 2 images, the targets of 3"):
            ask(three)
    with pytest.raises(ValueError, match="of 2 images, the targets of 3"):
        Boxes(torch.ones(2, 5, 4)).overlapping(three, 0.1)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"image": torch.tensor([0])}, r"`image` \(2,\) and `batch_size`"),
        ({"image": torch.tensor([0, 1])}, r"`batch_size`, got \(2,\) and None"),
        ({"image": torch.tensor([1, 0]), "batch_size": 2}, "must ascend"),
        ({"image": torch.tensor([0, 2]), "batch_size": 2}, r"lie in \[0, 2\)"),
    ],
)
def test_packed_errors(columns, said):
    with pytest.raises(ValueError, match=said):
        Boxes(torch.ones(2, 4), **columns)


def test_proposals_carry_no_graph_and_take_the_objects_along():
    found = Detections(
        boxes=torch.tensor([[0.0, 0, 9, 9], [1, 1, 5, 5]], requires_grad=True),
        scores=torch.ones(2), labels=torch.zeros(2).long(), image=torch.tensor([0, 2]),
        batch_size=3,
    )  # fmt: skip
    targets = Targets.from_list(
        [{"boxes": torch.tensor([[2.0, 2, 8, 8]])}, {"boxes": torch.tensor([[3.0, 3, 7, 7]] * 2),
         "iscrowd": torch.tensor([0, 1])}, {"boxes": []}]
    )  # fmt: skip
    boxes = Boxes.from_detections(found, targets)
    assert not boxes.boxes().requires_grad
    assert boxes.image.tolist() == [0, 0, 1, 2]
    assert boxes.boxes().tolist() == [[0, 0, 9, 9], [2, 2, 8, 8], [3, 3, 7, 7], [1, 1, 5, 5]]
