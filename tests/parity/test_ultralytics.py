"""Ultralytics' task-aligned assigner and losses: equal, and where not.

Ultralytics is AGPL-3.0: it is called here, never shipped.
"""

import pytest
import torch
from parity.cases import CLASSES, images, needs, peers, points, scene
from torch import Tensor

from kedge import Grid, Level, Predictions, Targets, losses
from kedge.assign import TAL
from kedge.boxes import ciou, diou, giou, iou
from kedge.coders import DistributionCoder

pytestmark = needs("Ultralytics")
STRIDES = [8.0, 16.0, 32.0]


class Outcome:
    """Of one image: labels (N,), soft labels (N,), and the assigner's masks (G, N)."""

    def __init__(self, grid: Grid, given: tuple, drop_zeros: bool) -> None:
        found, labels, logits, predicted = given
        peer = peers.ultralytics().tal.TaskAlignedAssigner(
            topk=10,
            num_classes=CLASSES,
            alpha=0.5,
            beta=6.0,
            stride=STRIDES,
            eps=1e-30 if drop_zeros else 1e-9,
        )
        if drop_zeros:
            select = peer.select_topk_candidates
            peer.select_topk_candidates = lambda metrics, **more: (
                select(metrics, **more) * (metrics > 0)
            )
        real = torch.ones(1, len(found), 1, dtype=torch.bool)
        inputs = (logits.sigmoid()[None], predicted[None], grid.points())
        _, _, scores, mask, index = peer(*inputs, labels[None, :, None], found[None], real)
        self.labels = torch.where(mask[0], index[0], -1)
        self.quality = scores[0].amax(-1)


def both(seeds: int, **options):
    """(image, ours (N,), our soft labels (N,), theirs, theirs without candidates of t = 0)."""
    grid = points((192, 256), levels=3)
    for seed in range(seeds):
        targets, predictions = scene(grid, seed, **options)
        done = TAL.ultralytics()(grid, targets, predictions)
        quality = torch.zeros(targets.batch_size * len(grid))
        quality[done.anchor] = done.quality
        quality = quality.view(targets.batch_size, -1)
        for number, given in enumerate(images(targets, predictions)):
            if len(given[0]):
                plain, strict = (Outcome(grid, given, drop) for drop in (False, True))
                yield given, done.dense()[number], quality[number], plain, strict


def test_the_assigner_but_for_candidates_of_alignment_zero():
    compared = same = positives = 0
    for _, ours, quality, plain, strict in both(40, share=0.5):
        assert torch.equal(ours, strict.labels)
        compared, same = compared + 1, same + torch.equal(ours, plain.labels)
        positives += int((ours >= 0).sum())
        torch.testing.assert_close(quality, strict.quality, rtol=1e-4, atol=1e-6)
        # theirs adds 1e-9 to the largest alignment, which is about IoU^6
        large = quality > 0.2
        torch.testing.assert_close(plain.quality[large], quality[large], rtol=1e-3, atol=0)
    print(f"TAL: {same} of {compared} images equal, the rest but for alignment 0")
    assert compared == 160
    assert same > 80
    assert positives > 5000


def test_the_adaptor_is_the_same_call():
    grid = points((192, 256), levels=3)
    targets, predictions = scene(grid, 0, counts=(9,))
    (given,) = images(targets, predictions)
    called = peers.PEERS["TAL", "Ultralytics"](grid, grid.boxes(), *given)
    assert torch.equal(called, Outcome(grid, given, False).labels)


def test_large_objects_have_candidates_enough_and_nothing_differs():
    different = sum(
        not torch.equal(ours, plain.labels)
        for _, ours, _, plain, _ in both(40, counts=(1, 2), side=(70.0, 150.0), share=0.9)
    )
    assert different == 0


def test_an_object_fills_up_with_candidates_of_alignment_zero_there():
    # ten anchors, four of them inside the object, of which two predict a box far away
    grid = Grid((16, 40), [Level(stride=8)])
    found = torch.tensor([[8.0, 0, 24, 16]])
    predicted = grid.boxes() + torch.tensor([0.5, 0.5, 1, 1])
    inside = ((grid.points() > found[0, :2]) & (grid.points() < found[0, 2:])).all(1)
    inside = inside.nonzero()[:, 0]
    predicted[inside[:2]] += 100
    given = (found, torch.zeros(1, dtype=torch.int64), torch.zeros(10, CLASSES), predicted)
    targets = Targets.from_list([{"boxes": found}])
    predictions = Predictions.from_tensors(given[2][None], predicted[None])
    ours = TAL.ultralytics(8.0)(grid, targets, predictions).dense()[0]
    theirs = Outcome(grid, given, False).labels
    assert (ours >= 0).nonzero()[:, 0].tolist() == inside[2:].tolist()
    assert (theirs >= 0).nonzero()[:, 0].tolist() == inside.tolist()


def test_a_one_pixel_object_is_enlarged_to_the_middle_stride_in_both():
    grid = points((64, 96), levels=3)
    found = torch.tensor([[40.2, 40.3, 41.2, 41.3]])
    predicted = torch.cat([grid.points() - 2, grid.points() + 2], 1)
    predicted[:] = torch.tensor([39.0, 39, 42, 42])
    given = (found, torch.zeros(1, dtype=torch.int64), torch.zeros(len(grid), CLASSES), predicted)
    targets = Targets.from_list([{"boxes": found}])
    predictions = Predictions.from_tensors(given[2][None], predicted[None])
    ours = TAL.ultralytics()(grid, targets, predictions).dense()[0]
    assert torch.equal(ours, Outcome(grid, given, False).labels)
    assert (ours >= 0).sum() >= 4
    assert len(TAL(overlap="ciou")(grid, targets, predictions)) == 0  # nothing lies inside


# -- overlaps and losses ---------------------------------------------------------------------------


def pairs(count: int = 400, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    corner = 60 * torch.rand(2, count, 2, generator=rng)
    side = 4 + 50 * torch.rand(2, count, 2, generator=rng)
    a, b = torch.cat([corner, corner + side], -1)
    return a, b


@pytest.mark.parametrize(
    ("ours", "name"), [(iou, None), (giou, "GIoU"), (diou, "DIoU"), (ciou, "CIoU")]
)
def test_the_iou_family(ours, name):
    a, b = pairs()
    options = {name: True} if name else {}
    theirs = peers.ultralytics().metrics.bbox_iou(a, b, xywh=False, **options)[:, 0]
    torch.testing.assert_close(ours(a, b), theirs, rtol=1e-5, atol=2e-6)


def test_distribution_focal_loss_and_the_targets_of_its_last_bin():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 4, 16, generator=rng)
    goal = 14.9 * torch.rand(200, 4, generator=rng)
    peer = peers.ultralytics().loss.DFLoss(reg_max=16)
    theirs = peer(logits.view(-1, 16), goal.clone())[:, 0]
    ours = losses.distribution_focal_loss(logits, goal, reduction="none").mean(1)
    torch.testing.assert_close(ours, theirs)
    # deviation: theirs cuts targets at 14.99, ours is exact at the last bin, 15
    edge = torch.full((1, 4), 15.0)
    ours = losses.distribution_focal_loss(logits[:1], edge, reduction="none")
    torch.testing.assert_close(ours, -logits[:1].log_softmax(-1)[..., 15])
    theirs = peer(logits[0], edge.clone())[0, 0]
    assert ours.mean() != theirs
    torch.testing.assert_close(ours.mean(), theirs, rtol=0.05, atol=0.05)


def test_the_distribution_coder():
    rng = torch.Generator().manual_seed(1)
    grid = points((64, 96), levels=1)
    codes = 2 * torch.randn(len(grid), 64, generator=rng)
    shares = codes.view(-1, 4, 16).softmax(-1) @ torch.arange(16.0)
    theirs = peers.ultralytics().tal.dist2bbox(shares, grid.points() / 8, xywh=False) * 8
    ours = DistributionCoder(reg_max=15).decode(grid.boxes(), codes, grid.stride())
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


def test_varifocal_and_focal_loss():
    rng = torch.Generator().manual_seed(2)
    logits = 3 * torch.randn(50, CLASSES, generator=rng)
    hard = (torch.rand(50, CLASSES, generator=rng) < 0.3).float()
    soft = hard * torch.rand(50, CLASSES, generator=rng)
    peer = peers.ultralytics().loss
    ours = losses.varifocal_loss(logits, soft, reduction="none").mean(1).sum()
    torch.testing.assert_close(ours, peer.VarifocalLoss()(logits, soft, hard))
    ours = losses.focal_loss(logits, hard, gamma=1.5, reduction="none").mean(1).sum()
    torch.testing.assert_close(ours, peer.FocalLoss()(logits, hard))
