"""MMDetection's SSD head with copied weights: outputs, targets and losses, where they agree."""

import pytest
import torch
from parity.cases import CLASSES, mm, needs
from torchvision.ops import box_iou

from kedge import Targets
from kedge.anchors.presets import preset
from kedge.detectors import SSD
from kedge.sample import HardNegatives

pytestmark = needs("MMDetection")
STDS = (0.1, 0.1, 0.2, 0.2)
RATIOS = [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
SIZES = [[38, 38], [19, 19], [10, 10], [5, 5], [3, 3], [1, 1]]
WIDTH = 8


@pytest.fixture(scope="module")
def heads():
    """Theirs and ours on narrow maps, with the same weights; background is last in both."""
    torch.manual_seed(0)
    theirs = mm.mmdetection().heads.SSDHead(
        num_classes=CLASSES,
        in_channels=[WIDTH] * 6,
        anchor_generator={
            "type": "SSDAnchorGenerator",
            "scale_major": False,
            "input_size": 300,
            "basesize_ratio_range": (0.15, 0.9),
            "strides": [8, 16, 32, 64, 100, 300],
            "ratios": RATIOS,
        },
        bbox_coder={"type": "DeltaXYWHBBoxCoder", "target_stds": STDS},
        train_cfg={
            "assigner": {
                "type": "MaxIoUAssigner",
                "pos_iou_thr": 0.5,
                "neg_iou_thr": 0.5,
                "min_pos_iou": 0.0,
                "gt_max_assign_all": False,
            },
            "sampler": {"type": "PseudoSampler"},
            "smoothl1_beta": 1.0,
            "allowed_border": -1,
            "pos_weight": -1,
            "neg_pos_ratio": 3,
        },
    )
    unclipped = [level.shapes for level in preset("ssd300").levels]
    unclipped[-1] = _last_level()
    ours = SSD(
        num_classes=CLASSES, backbone="vgg16", shapes=unclipped,
        sample=HardNegatives(empty_image=0),
    )  # fmt: skip
    ours.output = type(ours.output)(
        [WIDTH] * 6, theirs.num_base_priors, classes=CLASSES + 1, codes=4
    )
    for mine, its in zip(ours.output.classes, theirs.cls_convs, strict=True):
        mine.load_state_dict(its[0].state_dict())
    for mine, its in zip(ours.output.codes, theirs.reg_convs, strict=True):
        mine.load_state_dict(its[0].state_dict())
    return theirs, ours


def _last_level():
    """The preset clips to the image, as torchvision does; MMDetection does not."""
    low, high = 261.0, 315.0
    wide, narrow = low * 2**0.5, low / 2**0.5
    return ((low, low), ((low * high) ** 0.5,) * 2, (wide, narrow), (narrow, wide))


def anchors(theirs):
    return torch.cat(theirs.prior_generator.grid_priors(SIZES, device="cpu"))


def objects(theirs, count, g):
    """No two anchors tie on an object, and none is just at the threshold."""
    boxes = torch.zeros(0, 4)
    while len(boxes) < count:
        size = torch.rand(2, generator=g) * 120 + 20
        corner = torch.rand(2, generator=g) * (298 - size) + 1
        overlap = box_iou(torch.cat([corner, corner + size])[None], anchors(theirs))[0]
        first, second = overlap.topk(2).values
        if first - second > 1e-3 and (overlap - 0.5).abs().min() > 1e-4:
            boxes = torch.cat([boxes, torch.cat([corner, corner + size])[None]])
    return {"boxes": boxes, "labels": torch.randint(CLASSES, (count,), generator=g)}


def both_losses(heads, counts, seed):
    theirs, ours = heads
    g = torch.Generator().manual_seed(seed)
    maps = [torch.randn(len(counts), WIDTH, *size, generator=g) for size in SIZES]
    images = [objects(theirs, count, g) for count in counts]
    outputs = theirs(maps)
    given = [mm.mmdetection_instances(i["boxes"], i["labels"]) for i in images]
    metas = [{"img_shape": (300, 300), "pad_shape": (300, 300)}] * len(counts)
    expected = theirs.loss_by_feat(*outputs, given, metas)
    ours.backbone.forward = lambda images: maps
    outcome = ours.losses(torch.zeros(len(counts), 3, 300, 300), Targets.from_list(images))
    return {name: sum(parts) for name, parts in expected.items()}, outcome, outputs


def test_anchors_and_outputs(heads):
    theirs, ours = heads
    assert torch.allclose(ours.grid((300, 300)).boxes(), anchors(theirs), atol=1e-3)
    maps = [torch.randn(2, WIDTH, *size) for size in SIZES]
    logits, codes = ours.output(maps)
    for found, parts in ((logits, theirs(maps)[0]), (codes, theirs(maps)[1])):
        flat = [x.permute(0, 2, 3, 1).reshape(2, -1, found.shape[-1]) for x in parts]
        assert torch.allclose(found, torch.cat(flat, 1), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_losses_and_gradients(heads, seed):
    theirs, ours = heads
    expected, outcome, _ = both_losses(heads, (3, 1, 6), seed)
    names = {"classification": "loss_cls", "box": "loss_bbox"}
    for mine, its in names.items():
        loss, other = outcome.losses[mine], expected[its].sum()
        assert torch.allclose(loss, other, rtol=1e-4)
        level = 1 if mine == "box" else 0
        (got,) = torch.autograd.grad(
            loss,
            [(ours.output.codes if level else ours.output.classes)[1].weight],
            retain_graph=True,
        )
        (wanted,) = torch.autograd.grad(
            other,
            [(theirs.reg_convs if level else theirs.cls_convs)[1][0].weight],
            retain_graph=True,
        )
        assert torch.allclose(got, wanted, rtol=1e-3, atol=1e-6)


def test_an_image_without_objects_counts_as_one_positive_in_mmdetection(heads):
    expected, outcome, _ = both_losses(heads, (3, 0), 0)
    count = len(outcome.assignment)
    loss = outcome.losses["box"] * count / (count + 1)
    assert torch.allclose(loss, expected["loss_bbox"].sum(), rtol=1e-4)
