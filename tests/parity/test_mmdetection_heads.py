"""MMDetection's whole heads where assignment and loss are one: FreeAnchor and AutoAssign.

Raw outputs go through the peer's ``loss_by_feat`` and through Kedge's strategy and loss; values
and gradients are equal.
"""

import pytest
import torch
from parity.cases import CLASSES, mm, needs
from torch import Tensor
from torchvision.ops import box_iou

from kedge import Grid, Level, Predictions, Targets
from kedge.anchors.presets import retinanet_shapes
from kedge.assign import AutoAssign, FreeAnchor
from kedge.coders import DeltaCoder, LTRBCoder
from kedge.coders.delta import LOG_LIMIT
from kedge.losses import auto_assign_loss, free_anchor_loss

pytestmark = needs("MMDetection")
SIZE = (192, 256)
STRIDES = [8, 16, 32, 64, 128]


def objects(counts: tuple[int, ...], seed: int, side: tuple[float, float]) -> Targets:
    """Objects of any place and size inside the images."""
    rng = torch.Generator().manual_seed(seed)
    out = []
    for count in counts:
        size = side[0] + (side[1] - side[0]) * torch.rand(count, 2, generator=rng)
        corner = torch.rand(count, 2, generator=rng) * (torch.tensor([256.0, 192.0]) - size)
        labels = torch.randperm(CLASSES, generator=rng)[:count]
        out.append({"boxes": torch.cat([corner, corner + size], 1), "labels": labels})
    return Targets.from_list(out)


def apart(seed: int) -> Targets:
    """Two objects in opposite corners of the one image, one in the other."""
    rng = torch.Generator().manual_seed(seed)
    corner = torch.tensor([[4.0, 4], [150, 120], [40, 40]]) + 10 * torch.rand(3, 2, generator=rng)
    size = 30 + 30 * torch.rand(3, 2, generator=rng)
    boxes, labels = torch.cat([corner, corner + size], 1), torch.randperm(CLASSES, generator=rng)
    return Targets.from_list(
        [
            {"boxes": boxes[:2], "labels": labels[:2]},
            {"boxes": boxes[2:], "labels": labels[2:3]},
            {"boxes": boxes[:0], "labels": labels[:0]},
        ]
    )


def maps(flat: Tensor, grid: Grid) -> list[Tensor]:
    """(B, N, D) per level as a head's maps (B, A * D, H, W)."""
    out = []
    for part, (rows, columns) in zip(flat.split(list(grid.anchors_per_level), 1), grid.sizes):
        out.append(part.reshape(len(flat), rows, columns, -1).permute(0, 3, 1, 2))
    return out


def instances(targets: Targets) -> list:
    """One InstanceData per image."""
    rows = [targets.image == i for i in range(targets.batch_size)]
    return [mm.mmdetection_instances(targets.boxes[r], targets.labels[r]) for r in rows]


def metas(count: int) -> list[dict]:
    return [{"img_shape": SIZE, "pad_shape": SIZE, "scale_factor": 1.0}] * count


def close(ours: list[Tensor], theirs: list[Tensor], leaves: list[Tensor]) -> None:
    """Equal losses and equal gradients to ``leaves``."""
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
        mine = torch.autograd.grad(one, leaves, retain_graph=True, allow_unused=True)
        reference = torch.autograd.grad(other, leaves, retain_graph=True, allow_unused=True)
        for a, b, leaf in zip(mine, reference, leaves, strict=True):
            a, b = (torch.zeros_like(leaf) if g is None else g for g in (a, b))
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def tied(targets: Targets, grid: Grid) -> bool:
    """Whether the tenth and eleventh anchor of an object tie: anchors that hold all of it do."""
    overlap = box_iou(targets.boxes, grid.boxes()).sort(1, descending=True).values
    return bool((overlap[:, 9] == overlap[:, 10]).any())


@pytest.mark.parametrize("seed", range(5))
def test_free_anchor(seed):
    levels = [
        Level(stride=s, shapes=a, offset=0.0)
        for s, a in zip(STRIDES, retinanet_shapes(STRIDES), strict=True)
    ]
    grid = Grid(SIZE, levels)
    scenes = (objects((4, 0, 1), i, (30.0, 120.0)) for i in range(100 * seed, 100 * seed + 100))
    targets = next(t for t in scenes if not tied(t, grid))
    rng = torch.Generator().manual_seed(seed)
    logits = (2 * torch.randn(3, len(grid), CLASSES, generator=rng) - 2).requires_grad_()
    codes = (0.3 * torch.randn(3, len(grid), 4, generator=rng)).requires_grad_()

    stds = (0.1, 0.1, 0.2, 0.2)
    head = mm.mmdetection().heads.FreeAnchorRetinaHead(
        num_classes=CLASSES,
        in_channels=1,
        feat_channels=1,
        stacked_convs=1,
        anchor_generator={
            "type": "AnchorGenerator",
            "octave_base_scale": 4,
            "scales_per_octave": 3,
            "ratios": [0.5, 1.0, 2.0],
            "strides": STRIDES,
        },
        bbox_coder={"type": "DeltaXYWHBBoxCoder", "target_stds": stds},
        loss_bbox={"type": "SmoothL1Loss", "beta": 0.11, "loss_weight": 0.75},
        pre_anchor_topk=10,
    )
    theirs = head.loss_by_feat(maps(logits, grid), maps(codes, grid), instances(targets), metas(3))
    coder = DeltaCoder(stds=stds, clamp=(-LOG_LIMIT, LOG_LIMIT))
    predictions = Predictions.from_codes(logits, codes, grid, coder)
    assignment = FreeAnchor(k=10)(grid, targets, predictions)
    ours = free_anchor_loss(predictions, assignment, bag_size=10)
    names = ["positive", "negative"]
    close([ours[n] for n in names], [theirs[f"{n}_bag_loss"] for n in names], [logits, codes])


def auto_assign(targets: Targets, seed: int, force: bool = False):
    """(our losses, theirs, leaves) of an AutoAssign head, with a prior that has learned."""
    grid = Grid(SIZE, [Level(stride=s, offset=0.0) for s in STRIDES])
    rng = torch.Generator().manual_seed(seed)
    images = targets.batch_size
    logits = (2 * torch.randn(images, len(grid), CLASSES, generator=rng) - 1).requires_grad_()
    branch = torch.randn(images, len(grid), generator=rng).requires_grad_()
    sides = (40 * torch.rand(images, len(grid), 4, generator=rng) + 2).requires_grad_()
    assign = AutoAssign(num_classes=CLASSES, force_k=9 if force else 0)
    head = mm.mmdetection().heads.AutoAssignHead(
        num_classes=CLASSES,
        in_channels=1,
        feat_channels=32,
        stacked_convs=1,
        strides=STRIDES,
        force_topk=force,
        loss_bbox={"type": "GIoULoss", "loss_weight": 5.0},
    )
    with torch.no_grad():
        assign.mean.copy_(torch.randn(CLASSES, 2, generator=rng) / 3)
        assign.sigma.copy_(0.7 + torch.rand(CLASSES, 2, generator=rng))
        head.center_prior.mean.copy_(assign.mean)
        head.center_prior.sigma.copy_(assign.sigma)
    theirs = head.loss_by_feat(
        maps(logits, grid),
        maps(sides, grid),
        maps(branch[..., None], grid),
        instances(targets),
        metas(images),
    )
    coder = LTRBCoder(normalise=False, activation="none")
    predictions = Predictions.from_codes(logits, sides, grid, coder, branch)
    assignment = assign(grid, targets, predictions)
    ours = auto_assign_loss(predictions, assignment, assign.prior(grid, assignment))
    prior = [(assign.mean, head.center_prior.mean), (assign.sigma, head.center_prior.sigma)]
    return ours, theirs, [logits, branch, sides], prior


NAMES = [("positive", "loss_pos"), ("negative", "loss_neg"), ("centre", "loss_center")]


@pytest.mark.parametrize("seed", range(5))
def test_auto_assign_with_objects_apart(seed):
    ours, theirs, leaves, prior = auto_assign(apart(seed), seed)
    close([ours[a] for a, _ in NAMES], [theirs[b] for _, b in NAMES], leaves)
    for mine, other in prior:
        found = torch.autograd.grad(sum(ours.values()), mine, retain_graph=True)
        wanted = torch.autograd.grad(sum(theirs.values()), other, retain_graph=True)
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


def test_auto_assign_asks_for_the_best_of_the_objects_around_a_point_and_mmdetection_of_all():
    different = 0
    for seed in range(5):
        ours, theirs, leaves, _ = auto_assign(objects((5,), seed, (30.0, 110.0)), seed)
        pairs = [(ours[a], theirs[b]) for a, b in NAMES]
        close([pairs[0][0], pairs[2][0]], [pairs[0][1], pairs[2][1]], leaves)
        different += not torch.allclose(*pairs[1], rtol=1e-6)
        torch.testing.assert_close(*pairs[1], rtol=1e-2, atol=0)
    assert different > 0


def test_an_object_without_a_point_inside():
    targets = Targets.from_list([{"boxes": torch.tensor([[41.0, 41, 43, 43]])}])
    ours, theirs, _, _ = auto_assign(targets, 0)
    assert ours["positive"] == 0
    assert theirs["loss_pos"].item() == 25  # 100 * 0.25, a constant
    ours, theirs, leaves, _ = auto_assign(targets, 0, force=True)
    close([ours["positive"], ours["centre"]], [theirs["loss_pos"], theirs["loss_center"]], leaves)
