"""Free answers the same queries as a Grid, and equals the dense form where there is no grid."""

import pytest
import torch
from anchors.scenes import scenes
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge import Free, Targets
from kedge.boxes import iof, iou, rfd

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
