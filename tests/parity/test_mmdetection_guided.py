"""MMDetection's heads of Guided Anchoring: targets, outputs, losses, gradients, boxes."""

import math
import sys

import pytest
import torch
from parity.cases import CLASSES, mm, needs
from parity.test_mmdetection_detectors import (
    DELTAS,
    FOCAL,
    SIDES,
    Given,
    TorchvisionsDeform,
    fill,
    same_maps,
    shaken,
)
from parity.test_mmdetection_heads import SIZE, instances, metas, objects
from torch import nn
from torchvision.ops import nms

from kedge.assign.guided_location import GuidedLocation
from kedge.detectors import GARPN, GARetinaNet
from kedge.sample import All
from kedge.select import NMS, Selection
from kedge.types import Targets

pytestmark = needs("MMDetection")
WIDTH, SEEDS = 16, pytest.mark.parametrize("seed", range(3))
EVERY = {"type": "RandomSampler", "num": 10**7, "pos_fraction": 1.0, "add_gt_as_proposals": False}
COMMON = {"allowed_border": -1, "pos_weight": -1, "center_ratio": 0.2, "ignore_ratio": 0.5}


def peer(kind, strides, scale, monkeypatch, near, best, **settings):
    """MMDetection's head with the settings of its configuration files."""
    made = getattr(mm.mmdetection().heads, kind)
    base = sys.modules["mmdet.models.dense_heads.guided_anchor_head"]

    class Convolution(nn.Conv2d):
        def forward(self, x, mask=None):
            return super().forward(x)

    class Deform(TorchvisionsDeform):
        def __init__(self, inputs, outputs, kernel_size, padding, deform_groups):
            super().__init__(inputs, outputs, kernel_size, 1, padding)

    monkeypatch.setattr(base, "DeformConv2d", Deform)
    for module in (base, sys.modules[made.__module__]):
        monkeypatch.setattr(module, "MaskedConv2d", Convolution, raising=False)
    assigners = [
        {"type": name, "pos_iou_thr": p, "neg_iou_thr": n, "min_pos_iou": m}
        for name, (p, n, m) in (("ApproxMaxIoUAssigner", near), ("MaxIoUAssigner", best))
    ]
    common = {"type": "AnchorGenerator", "strides": strides}
    from mmengine.config import ConfigDict

    torch.manual_seed(0)
    head = made(
        in_channels=WIDTH, feat_channels=WIDTH, loss_loc=FOCAL,
        approx_anchor_generator={
            **common, "octave_base_scale": scale, "scales_per_octave": 3, "ratios": [0.5, 1.0, 2.0],
        },
        square_anchor_generator={**common, "ratios": [1.0], "scales": [scale]},
        loss_shape={"type": "BoundedIoULoss", "beta": 0.2, "loss_weight": 1.0},
        train_cfg=ConfigDict(
            ga_assigner=assigners[0], ga_sampler=EVERY, assigner=assigners[1], **COMMON,
            **settings.pop("train", {}),
        ),
        **settings,
    )  # fmt: skip
    # its focal loss takes class numbers, of which 0 is the object and 1 "none": where its targets
    # are 1, in the middle of objects, MMDetection 3.3 learns that no anchor is wanted
    focal = head.loss_loc.forward
    monkeypatch.setattr(
        head.loss_loc, "forward", lambda said, goal, *a, **k: focal(said, 1 - goal, *a, **k)
    )
    return head


def rpn(seed, monkeypatch):
    """Both region proposal networks, with the same weights, on the same maps."""
    stds = ((0.07, 0.07, 0.14, 0.14), (0.07, 0.07, 0.11, 0.11))
    anchor, box = ({**DELTAS, "target_stds": list(numbers)} for numbers in stds)
    head = peer(
        "GARPNHead", [8, 16, 32, 64], 8, monkeypatch, (0.7, 0.3, 0.3), (0.7, 0.3, 0.3),
        anchor_coder=anchor, bbox_coder=box, train={"sampler": EVERY},
        loss_bbox={"type": "SmoothL1Loss", "beta": 1.0, "loss_weight": 1.0},
    )  # fmt: skip
    shaken(head, seed)
    with torch.no_grad():
        head.conv_shape.weight.mul_(4)
    model = GARPN(num_classes=1, width=WIDTH)
    layers = model.proposals.layers
    for ours, theirs in (
        (layers.conv, head.rpn_conv), (layers.location, head.conv_loc),
        (layers.shape, head.conv_shape), (layers.objectness, head.conv_cls),
        (layers.codes, head.conv_reg),
        (layers.adapt.offsets, head.feature_adaption.conv_offset),
        (layers.adapt.taps, head.feature_adaption.conv_adaption),
    ):  # fmt: skip
        fill(ours, theirs)
    object.__setattr__(model.proposals.guidance, "sample", All())
    model.proposals.sample = All()
    return head, model, [8, 16, 32, 64]


def retinanet(seed, monkeypatch):
    """Both GA-RetinaNets."""
    ones = {**DELTAS, "target_stds": [1.0] * 4}
    head = peer(
        "GARetinaHead", [8, 16, 32, 64, 128], 4, monkeypatch, (0.5, 0.4, 0.4), (0.5, 0.5, 0.0),
        num_classes=CLASSES, stacked_convs=1, anchor_coder=ones, bbox_coder=ones, loss_cls=FOCAL,
        norm_cfg={"type": "GN", "num_groups": WIDTH // 8, "requires_grad": True},
        loss_bbox={"type": "SmoothL1Loss", "beta": 0.04, "loss_weight": 1.0},
    )  # fmt: skip
    shaken(head, seed)
    model = GARetinaNet(num_classes=CLASSES, width=WIDTH, depth=1)
    layers = model.layers
    for ours, theirs in (
        (layers.class_tower[0], head.cls_convs[0].conv),
        (layers.class_tower[1], head.cls_convs[0].gn),
        (layers.box_tower[0], head.reg_convs[0].conv),
        (layers.box_tower[1], head.reg_convs[0].gn),
        (layers.location, head.conv_loc), (layers.shape, head.conv_shape),
        (layers.adapt_classes.offsets, head.feature_adaption_cls.conv_offset),
        (layers.adapt_classes.taps, head.feature_adaption_cls.conv_adaption),
        (layers.adapt_boxes.offsets, head.feature_adaption_reg.conv_offset),
        (layers.adapt_boxes.taps, head.feature_adaption_reg.conv_adaption),
        (layers.classes, head.retina_cls), (layers.codes, head.retina_reg),
    ):  # fmt: skip
        fill(ours, theirs)
    object.__setattr__(model.guidance, "sample", All())
    return head, model, [8, 16, 32, 64, 128]


KINDS = pytest.mark.parametrize("kind", [rpn, retinanet])


def features(seed, strides):
    rng = torch.Generator().manual_seed(seed)
    sizes = [(math.ceil(SIZE[0] / s), math.ceil(SIZE[1] / s)) for s in strides]
    return [torch.randn(3, WIDTH, *size, generator=rng) for size in sizes]


@SEEDS
@KINDS
def test_outputs_losses_and_gradients(kind, seed, monkeypatch):
    head, model, strides = kind(seed, monkeypatch)
    maps, targets = features(seed, strides), objects((4, 2, 3), seed, SIDES)
    said = head(tuple(maps))
    if kind is rpn:  # MMDetection's proposals know one class
        targets = targets.as_one_class()
    theirs = head.loss_by_feat(*said, instances(targets), metas(3))
    theirs = {name: sum(parts) for name, parts in theirs.items()}
    model.backbone, model.pyramid = nn.Identity(), Given(maps)
    images = torch.zeros(3, 3, *SIZE)
    ours = model.train().losses(images, targets).losses
    names = {"classification": "cls", "box": "bbox", "location": "loc", "shape": "shape"}
    for name, short in names.items():
        own = ours[name if kind is retinanet else f"proposal_{name}"]
        (wanted,) = [loss for key, loss in theirs.items() if key.endswith(f"_{short}")]
        assert float(wanted.detach()) > 0
        torch.testing.assert_close(own, wanted, rtol=2e-4, atol=1e-6)
    its = torch.autograd.grad(sum(theirs.values()), head.conv_shape.weight)[0]
    layers = model.layers if kind is retinanet else model.proposals.layers
    mine = torch.autograd.grad(sum(ours.values()), layers.shape.weight)[0]
    assert float((mine - its).norm() / its.norm()) < 1e-3
    found = model.head(images)
    same_maps(found.logits, said[0])
    same_maps(found.codes, said[1])
    same_maps(found.branches["shape"], said[2])
    same_maps(found.branches["location"], said[3])
    sizes = [x.shape[-2:] for x in maps]
    _, theirs, _ = head.get_anchors(sizes, said[2], said[3], metas(3), device="cpu")
    theirs = torch.cat([torch.cat(image) for image in theirs])
    torch.testing.assert_close(found.anchors.boxes(), theirs, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_location_targets(seed, monkeypatch):
    head, model, strides = rpn(0, monkeypatch)
    one, other = (objects((5, 0, 4), n, (2.0, 150.0)) for n in (seed, 100 + seed))
    image, order = torch.cat([one.image, other.image]).sort(stable=True)
    boxes, labels = torch.cat([one.boxes, other.boxes])[order], torch.zeros_like(image)
    targets = Targets(boxes=boxes, labels=labels, image=image, batch_size=3)
    sizes = [x.shape[-2:] for x in features(0, strides)]
    goal, weight, _ = head.ga_loc_targets(instances(targets), sizes)
    weight = torch.cat([part.flatten(1) for part in weight], 1).flatten()
    goal = torch.cat([part.flatten(1) for part in goal], 1).flatten()
    squares = model.proposals.guidance.squares(model.grid(SIZE))
    chosen = GuidedLocation()(squares, targets)
    ours = torch.full_like(weight, 0.1)
    ours[chosen.ignored] = 0
    ours[chosen.anchor] = 1
    assert torch.equal(ours, weight)
    assert (goal[chosen.anchor] == 1).all()
    assert (goal * weight).sum() == len(chosen) > 15


@SEEDS
@pytest.mark.parametrize("threshold", [0.01, 0.5, 1.0])
def test_detections(seed, threshold, monkeypatch):
    """GA-RetinaNet's; where no cell has a location MMDetection raises."""
    from mmengine.config import ConfigDict

    head, model, strides = retinanet(seed, monkeypatch)
    shown = sys.modules["mmdet.models.dense_heads.guided_anchor_head"]

    def multiclass_nms(boxes, scores, score_thr, cfg, most):
        at, label = (scores[:, :-1] > score_thr).nonzero(as_tuple=True)
        value = scores[at, label]
        apart = boxes[at] + 1e4 * label[:, None]
        keep = nms(apart, value, cfg.iou_threshold)[:most]
        return torch.cat([boxes[at[keep]], value[keep, None]], 1), label[keep]

    monkeypatch.setattr(shown, "multiclass_nms", multiclass_nms)
    maps = features(seed, strides)
    head.eval()
    head.loc_filter_thr = threshold
    said = head(tuple(maps))
    object.__setattr__(model.guidance, "min_location", threshold)
    model.selection = Selection(candidates=None, suppress=NMS(threshold=0.5))
    model.backbone, model.pyramid = nn.Identity(), Given(maps)
    ours = model.eval().detect(torch.zeros(3, 3, *SIZE)).to_list()
    config = ConfigDict(score_thr=0.05, nms={"iou_threshold": 0.5}, max_per_img=100, nms_pre=-1)
    if threshold == 1.0:
        assert all(len(one["boxes"]) == 0 for one in ours)
        with pytest.raises(Exception, match="expected a non-empty list of Tensors"):
            head.predict_by_feat(*said, metas(3), config)
        return
    theirs = head.predict_by_feat(*said, metas(3), config)
    for one, other in zip(ours, theirs, strict=True):
        assert len(one["boxes"]) == len(other.bboxes) > 0
        torch.testing.assert_close(one["scores"], other.scores, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(one["boxes"], other.bboxes, rtol=1e-4, atol=2e-3)
        assert torch.equal(one["labels"], other.labels)
