"""MMDetection's coders, losses and anchor generator: equal, and where not."""

import math

import pytest
import torch
from parity.cases import CLASSES, mm, needs
from torch import Tensor

from kedge import Grid, Level, losses
from kedge.anchors.presets import ratio_shapes, retinanet_shapes
from kedge.coders import DeltaCoder, DistributionCoder, LTRBCoder, TBLRCoder
from kedge.coders.delta import LOG_LIMIT

pytestmark = needs("MMDetection")


def pairs(count: int = 400, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two boxes each, about half of them apart; sides of 1 to 60 px."""
    rng = torch.Generator().manual_seed(seed)
    corner = 90 * torch.rand(2, count, 2, generator=rng)
    side = 1 + 59 * torch.rand(2, count, 2, generator=rng)
    a, b = torch.cat([corner, corner + side], -1)
    return a, b


# -- coders ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stds", [(1.0, 1.0, 1.0, 1.0), (0.1, 0.1, 0.2, 0.2)])
def test_the_delta_coder_with_both_ends_clamped(stds):
    anchors, found = pairs()
    peer = mm.mmdetection().coders.DeltaXYWHBBoxCoder(target_stds=stds)
    coder = DeltaCoder(stds=stds, clamp=(-LOG_LIMIT, LOG_LIMIT))
    codes = peer.encode(anchors, found)
    torch.testing.assert_close(coder.encode(anchors, found), codes, rtol=1e-5, atol=1e-4)
    codes = codes * torch.linspace(0.1, 8, len(codes))[:, None]
    torch.testing.assert_close(coder.decode(anchors, codes), peer.decode(anchors, codes))
    # torchvision's and Detectron2's default, ours too, leaves small boxes small
    tiny = torch.tensor([[0.0, 0, -9, 0]]) / torch.tensor(stds)
    low, free = coder.decode(anchors[:1], tiny), DeltaCoder(stds=stds).decode(anchors[:1], tiny)
    width = anchors[0, 2] - anchors[0, 0]
    assert (low[0, 2] - low[0, 0]).item() == pytest.approx(width.item() * 0.016, rel=1e-3)
    assert (free[0, 2] - free[0, 0]).item() < width.item() * 0.001


def test_the_delta_coder_of_yolof():
    anchors, found = pairs(seed=1)
    peer = mm.mmdetection().coders.DeltaXYWHBBoxCoder(add_ctr_clamp=True, ctr_clamp=32)
    codes = peer.encode(anchors, found) * 3
    # the peer clamps the centre and the upper end of the size
    coder = DeltaCoder(centre_clamp=32.0)
    torch.testing.assert_close(
        coder.decode(anchors, codes), peer.decode(anchors, codes), rtol=1e-5, atol=1e-3
    )


def test_the_tblr_coder():
    anchors, found = pairs(seed=2)
    peer = mm.mmdetection().coders.TBLRBBoxCoder(normalizer=4.0)
    codes = peer.encode(anchors, found)
    torch.testing.assert_close(TBLRCoder(activation="none").encode(anchors, found), codes)
    torch.testing.assert_close(
        TBLRCoder(activation="none").decode(anchors, codes),
        peer.decode(anchors, codes),
        rtol=1e-5,
        atol=1e-4,
    )
    # deviation: ours holds the head's activation, so a side beyond the point is a target of 0
    torch.testing.assert_close(TBLRCoder().encode(anchors, found), codes.relu())


def test_distances_from_points():
    anchors, found = pairs(seed=3)
    point = (anchors[:, :2] + anchors[:, 2:]) / 2
    peer = mm.mmdetection().coders.DistancePointBBoxCoder()
    codes = peer.encode(point, found)
    coder = LTRBCoder(normalise=False, activation="none")
    torch.testing.assert_close(coder.encode(anchors, found), codes)
    torch.testing.assert_close(coder.decode(anchors, codes), peer.decode(point, codes))


def test_the_distribution_coder_and_its_targets():
    anchors, found = pairs(seed=4)
    point, stride = (anchors[:, :2] + anchors[:, 2:]) / 2, torch.full((400, 2), 4.0)
    rng = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(400, 68, generator=rng)
    coder = DistributionCoder(reg_max=16)
    from mmdet.models.dense_heads.gfl_head import Integral

    peer = mm.mmdetection().coders.DistancePointBBoxCoder()
    torch.testing.assert_close(coder.integral(logits), Integral(16)(logits))
    theirs = peer.decode(point, Integral(16)(logits) * 4)
    torch.testing.assert_close(coder.decode(anchors, logits, stride), theirs)
    # deviation: theirs ends at 15.9, as its loss reads the next bin
    goal = peer.encode(point / 4, found / 4, 16, 0.1)
    ours = coder.encode(anchors, found, stride)
    torch.testing.assert_close(ours.clamp(max=15.9), goal)
    assert ours.max() == 16


# -- losses of scores ------------------------------------------------------------------------------


def scores(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits (60, C), class (60,) with C for background, quality (60,), and both as (60, C)."""
    rng = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(60, CLASSES, generator=rng)
    label = torch.randint(CLASSES + 1, (60,), generator=rng)
    quality = 0.05 + 0.95 * torch.rand(60, generator=rng)
    dense = torch.nn.functional.one_hot(label, CLASSES + 1)[:, :CLASSES] * quality[:, None]
    return logits, label, quality, dense


def test_quality_focal_and_varifocal_loss():
    logits, label, quality, dense = scores()
    peer = mm.mmdetection().losses
    theirs = peer.QualityFocalLoss()(logits, (label, quality), reduction_override="none")
    ours = losses.quality_focal_loss(logits, dense, reduction="none").sum(1)
    torch.testing.assert_close(ours, theirs)
    for weighted in (True, False):
        theirs = peer.VarifocalLoss(iou_weighted=weighted)(logits, dense, reduction_override="none")
        ours = losses.varifocal_loss(logits, dense, weigh_positives=weighted, reduction="none")
        torch.testing.assert_close(ours, theirs)


def test_focal_loss():
    from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss

    logits, _, _, dense = scores(1)
    hard = (dense > 0).float()
    theirs = py_sigmoid_focal_loss(logits, hard, reduction="none")
    torch.testing.assert_close(losses.focal_loss(logits, hard, reduction="none"), theirs)


def test_distribution_focal_loss():
    rng = torch.Generator().manual_seed(2)
    logits, goal = torch.randn(300, 17, generator=rng), 15.9 * torch.rand(300, generator=rng)
    theirs = mm.mmdetection().losses.DistributionFocalLoss()(
        logits, goal, reduction_override="none"
    )
    ours = losses.distribution_focal_loss(logits, goal, reduction="none")
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("momentum", [0.0, 0.75])
def test_gradient_harmonising(momentum):
    peer = mm.mmdetection().losses
    theirs, ours = (
        peer.GHMC(bins=30, momentum=momentum),
        losses.GHMC(momentum=momentum, warm_start=False),
    )
    box, our_box = (
        peer.GHMR(mu=0.02, bins=10, momentum=momentum),
        losses.GHMR(momentum=momentum, warm_start=False),
    )
    for seed in range(5):
        logits, label, _, dense = scores(seed)
        valid = label != 1
        weight = valid[:, None].expand_as(logits)
        hard = (dense > 0).float()
        expected = theirs(logits, hard, weight.float())
        torch.testing.assert_close(ours(logits, hard, weight), expected)
        goal = logits[:, :4] + torch.randn(60, 4, generator=torch.Generator().manual_seed(seed))
        expected = box(logits[:, :4], goal, weight[:, :4].float())
        torch.testing.assert_close(our_box(logits[:, :4], goal, weight[:, :4]), expected)


def test_the_first_count_of_a_bin_is_taken_whole_here():
    logits, _, _, dense = scores()
    hard = (dense > 0).float()
    theirs = mm.mmdetection().losses.GHMC(bins=30, momentum=0.75)
    first = theirs(logits, hard, torch.ones_like(logits))
    torch.testing.assert_close(losses.GHMC()(logits, hard) * 4, first)


# -- losses of boxes -------------------------------------------------------------------------------


def their_loss(name: str, a: Tensor, b: Tensor, **options) -> Tensor:
    return getattr(mm.mmdetection().losses, name)(**options)(a, b, reduction_override="none")


@pytest.mark.parametrize(
    ("ours", "name"), [(losses.giou_loss, "GIoULoss"), (losses.diou_loss, "DIoULoss")]
)
def test_giou_and_diou(ours, name):
    a, b = pairs(seed=5)
    torch.testing.assert_close(ours(a, b, reduction="none"), their_loss(name, a, b))


@pytest.mark.parametrize("form", ["linear", "square", "log"])
def test_iou(form):
    a, b = pairs(seed=6)
    theirs = their_loss("IoULoss", a, b, mode=form)
    torch.testing.assert_close(losses.iou_loss(a, b, form=form, reduction="none"), theirs)


def test_ciou_where_the_aspect_term_is_on_there():
    a, _ = pairs(seed=7)
    rng = torch.Generator().manual_seed(7)
    b = a + (a[:, 2:] - a[:, :2]).repeat(1, 2) * (0.8 * torch.rand(400, 4, generator=rng) - 0.4)
    ours, theirs = losses.ciou_loss(a, b, reduction="none"), their_loss("CIoULoss", a, b)
    overlap = 1 - losses.iou_loss(a, b, reduction="none")
    good = overlap > 0.5
    assert 50 < good.sum() < 350
    torch.testing.assert_close(ours[good], theirs[good], rtol=1e-5, atol=1e-6)
    # deviation: MMDetection drops the aspect term at IoU <= 0.5, the paper and torchvision do not
    torch.testing.assert_close(theirs[~good], losses.diou_loss(a, b, reduction="none")[~good])
    assert (ours[~good] >= theirs[~good]).all()


def test_siou_with_the_papers_sign():
    a, b = pairs(seed=8)
    theirs = their_loss("SIoULoss", a, b, neg_gamma=True)
    ours = losses.siou_loss(a, b, reduction="none").clamp(max=2.0)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    # deviation: its default rewards distance
    far = their_loss("SIoULoss", a, b)
    assert (far < theirs).float().mean() > 0.9


def test_bounded_iou_is_summed_over_the_four_terms():
    a, b = pairs(seed=9)
    theirs = their_loss("BoundedIoULoss", a, b).sum(1)
    torch.testing.assert_close(losses.bounded_iou_loss(a, b, reduction="none"), theirs)


def test_balanced_l1():
    a, b = pairs(seed=10)
    a, b = a / 40, b / 40
    theirs = their_loss("BalancedL1Loss", a, b)
    torch.testing.assert_close(losses.balanced_l1_loss(a, b, reduction="none"), theirs)
    # deviation: for another beta their slope jumps at beta, by alpha (1 - beta) / (beta e^3)
    at = torch.tensor([0.5 - 1e-6, 0.5 + 1e-6], dtype=torch.float64, requires_grad=True)
    theirs = their_loss("BalancedL1Loss", at, torch.zeros_like(at), beta=0.5)
    low, high = torch.autograd.grad(theirs.sum(), at)[0]
    assert (low - high).item() == pytest.approx(0.5 / math.exp(3), abs=1e-4)
    ours = losses.balanced_l1_loss(at, torch.zeros_like(at), beta=0.5, reduction="sum")
    low, high = torch.autograd.grad(ours, at)[0]
    assert (low - high).abs() < 1e-4


def test_smooth_l1():
    a, b = pairs(seed=11)
    theirs = their_loss("SmoothL1Loss", a, b, beta=0.11)
    torch.testing.assert_close(losses.smooth_l1_loss(a, b, beta=0.11, reduction="none"), theirs)


def test_their_eiou_is_another_loss_of_that_name():
    a, b = pairs(seed=12)
    ours, theirs = losses.eiou_loss(a, b, reduction="none"), their_loss("EIoULoss", a, b)
    assert (ours - theirs).abs().mean() > 0.1


# -- anchors ---------------------------------------------------------------------------------------


def test_anchors_ratio_outer_and_unrounded():
    from mmdet.models.task_modules.prior_generators import AnchorGenerator

    strides = [8, 16, 32, 64, 128]
    peer = AnchorGenerator(
        strides=strides,
        ratios=[0.5, 1.0, 2.0],
        octave_base_scale=4,
        scales_per_octave=3,
        center_offset=0.0,
    )
    height, width = 256, 416
    maps = [(math.ceil(height / s), math.ceil(width / s)) for s in strides]
    theirs = torch.cat(peer.grid_priors(maps, device="cpu"))
    levels = [
        Level(stride=s, shapes=a, offset=0.0)
        for s, a in zip(strides, retinanet_shapes(strides), strict=True)
    ]
    torch.testing.assert_close(Grid((height, width), levels).boxes(), theirs, rtol=1e-5, atol=1e-3)


def test_their_centre_offset_is_in_base_sizes():
    from mmdet.models.task_modules.prior_generators import AnchorGenerator

    peer = AnchorGenerator(
        strides=[8], ratios=[1.0, 2.0], scales=[1.0], base_sizes=[20], center_offset=0.5
    )
    (theirs,) = peer.grid_priors([(4, 6)], device="cpu")
    centre = (theirs[:2, :2] + theirs[:2, 2:]) / 2
    assert centre.tolist() == [[10.0, 10.0], [10.0, 10.0]]  # half of 20, not half of the stride
    shapes = ratio_shapes([20.0], [1.0, 2.0])
    ours = Grid((32, 48), [Level(stride=8, shapes=shapes, offset=20 * 0.5 / 8)])
    torch.testing.assert_close(ours.boxes(), theirs)
