"""MMDetection's heads of one anchor a cell beside the detectors of the same name.

The same features and weights go through the peer's head and loss, and through the whole detector
behind its pyramid: outputs, losses and a gradient are equal.
"""

import math
import sys
from types import SimpleNamespace

import pytest
import torch
from parity.cases import CLASSES, mm, needs
from parity.test_mmdetection_heads import SIZE, STRIDES, apart, instances, metas, objects
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

import kedge
from kedge import detectors
from kedge.nn.heads import rows

pytestmark = needs("MMDetection")
WIDTH = 16
SQUARES = {
    "type": "AnchorGenerator", "ratios": [1.0], "octave_base_scale": 8, "scales_per_octave": 1,
    "strides": STRIDES,
}  # fmt: skip
DELTAS = {"type": "DeltaXYWHBBoxCoder", "target_stds": [0.1, 0.1, 0.2, 0.2]}
TRAIN = {"allowed_border": -1, "pos_weight": -1, "debug": False}
BY_ATSS = {"assigner": {"type": "ATSSAssigner", "topk": 9}, **TRAIN}
GIOU = {"type": "GIoULoss", "loss_weight": 2.0}
FOCAL = {
    "type": "FocalLoss", "use_sigmoid": True, "gamma": 2.0, "alpha": 0.25, "loss_weight": 1.0,
}  # fmt: skip
CENTRENESS = {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0}
PLAIN = {
    "num_classes": CLASSES, "in_channels": WIDTH, "feat_channels": WIDTH,
    "norm_cfg": {"type": "GN", "num_groups": WIDTH // 8, "requires_grad": True},
}  # fmt: skip


class Given(nn.Module):
    """Features in place of a backbone and its pyramid."""

    def __init__(self, maps: list[Tensor]) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.maps


class TorchvisionsDeform(nn.Conv2d):
    """In place of mmcv's, which has no kernel here."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding, bias=False)

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        return deform_conv2d(x, offset, self.weight, padding=1)


def features(seed: int) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    sizes = [(math.ceil(SIZE[0] / s), math.ceil(SIZE[1] / s)) for s in STRIDES]
    return [torch.randn(3, WIDTH, *size, generator=rng) for size in sizes]


def shaken(head: nn.Module, seed: int) -> nn.Module:
    """Weights that say something: boxes around the anchors' size, scores of all kinds."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            if "center_prior" in name:
                continue
            if name.startswith("scales"):
                parameter.fill_(0.8 + 0.1 * int(name.split(".")[1]))
            elif parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng))
            else:
                parameter.copy_(0.06 * torch.randn(parameter.shape, generator=rng))
    return head.train()


def fill(layer: nn.Module, source: nn.Module) -> None:
    """Its weights; a bias that the source lacks is 0."""
    own = dict(source.state_dict())
    if "bias" in layer.state_dict() and "bias" not in own:
        own["bias"] = torch.zeros_like(layer.bias)
    layer.load_state_dict(own)


def fill_tower(tower: nn.Sequential, modules: nn.ModuleList) -> None:
    for i, module in enumerate(modules):
        fill(tower[3 * i], module.conv)
        fill(tower[3 * i + 1], module.gn)


def fill_points(layers: nn.Module, head: nn.Module, classes: str, boxes: str, quality: str) -> None:
    fill_tower(layers.class_tower, head.cls_convs)
    fill_tower(layers.box_tower, head.reg_convs)
    fill(layers.classes, getattr(head, classes))
    fill(layers.codes, getattr(head, boxes))
    if quality:
        fill(layers.quality, getattr(head, quality))
    with torch.no_grad():
        layers.scale.copy_(torch.stack([s.scale for s in head.scales]))


def compare(model, head, targets, seed, names, weight, ours_weight):
    """Losses of both, and the gradient of their sum to one weight each."""
    maps = features(seed)
    said = head(tuple(maps))
    theirs = head.loss_by_feat(*said, instances(targets), metas(3))
    theirs = {k: sum(v) if isinstance(v, list) else v for k, v in theirs.items()}
    model.backbone, model.pyramid = nn.Identity(), Given(maps)
    outcome = model.train().losses(torch.zeros(3, 3, *SIZE), targets)
    assert set(outcome.losses) == set(names)
    assert len(outcome.assignment) > 5
    for ours, parts in names.items():
        wanted = sum(theirs[part] for part in parts)
        assert float(wanted) > 0
        torch.testing.assert_close(outcome.losses[ours], wanted, rtol=1e-4, atol=1e-6)
    mine = torch.autograd.grad(sum(outcome.losses.values()), ours_weight)[0]
    its = torch.autograd.grad(sum(theirs.values()), weight)[0]
    assert float((mine - its).norm() / its.norm()) < 1e-3
    return said, model.head(torch.zeros(3, 3, *SIZE))


def same_maps(ours: Tensor, theirs: list[Tensor]) -> None:
    theirs = torch.cat([rows(x, 1) for x in theirs], 1)
    torch.testing.assert_close(ours, theirs.view(ours.shape), rtol=1e-4, atol=1e-5)


SEEDS = pytest.mark.parametrize("seed", range(3))
COUNTS, SIDES = (4, 0, 3), (24.0, 110.0)
FULL = (4, 2, 3)  # ATSSHead and GFLHead divide by a positive more for every image without objects


@SEEDS
@pytest.mark.parametrize("radius", [1.5, None])
def test_fcos(seed, radius):
    head = mm.mmdetection().heads.FCOSHead(
        **PLAIN, strides=STRIDES, center_sampling=radius is not None, norm_on_bbox=True,
        centerness_on_reg=True, loss_bbox={"type": "GIoULoss", "loss_weight": 1.0},
    )  # fmt: skip
    shaken(head, seed)
    model = detectors.FCOS(
        num_classes=CLASSES, width=WIDTH, assign=kedge.FCOS(centre_radius=radius)
    )
    with torch.no_grad():
        head.conv_reg.bias.fill_(2.0)
    fill_points(model.layers, head, "conv_cls", "conv_reg", "conv_centerness")
    names = {
        "classification": ["loss_cls"],
        "box": ["loss_bbox"],
        "quality": ["loss_centerness"],
    }
    said, ours = compare(
        model, head, objects(COUNTS, seed, SIDES), seed, names,
        head.reg_convs[0].conv.weight, model.layers.box_tower[0].weight,
    )  # fmt: skip
    same_maps(ours.logits, said[0])
    same_maps(ours.codes.relu(), said[1])
    same_maps(ours.branches["centreness"], said[2])


def with_squares(kind: str, seed: int, **settings):
    return shaken(
        getattr(mm.mmdetection().heads, kind)(
            **{**PLAIN, "anchor_generator": SQUARES, "loss_bbox": GIOU, **settings}
        ),
        seed,
    )


@SEEDS
def test_atss(seed):
    head = with_squares(
        "ATSSHead", seed, bbox_coder=DELTAS, reg_decoded_bbox=True, loss_cls=FOCAL,
        loss_centerness=CENTRENESS, train_cfg=BY_ATSS,
    )  # fmt: skip
    model = detectors.ATSS(num_classes=CLASSES, width=WIDTH, offset=0.0)
    fill_points(model.layers, head, "atss_cls", "atss_reg", "atss_centerness")
    names = {
        "classification": ["loss_cls"],
        "box": ["loss_bbox"],
        "quality": ["loss_centerness"],
    }
    said, ours = compare(
        model, head, objects(FULL, seed, SIDES), seed, names,
        head.reg_convs[0].conv.weight, model.layers.box_tower[0].weight,
    )  # fmt: skip
    same_maps(ours.logits, said[0])
    same_maps(ours.codes, said[1])
    same_maps(ours.branches["centreness"], said[2])


def up_to_the_likeliest(component: Tensor, density: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The authors' cut: all candidates as cheap as the likeliest of the lower component.

    MMDetection leaves out those of them that belong to the upper one, which can reach below."""
    lower = (component == 0).nonzero()[:, 0]
    last = lower[density[lower].argmax()] if len(lower) else len(rows)
    return rows[: last + 1], rows[:0]


@SEEDS
def test_paa(seed, monkeypatch):
    pytest.importorskip("sklearn", reason="MMDetection fits PAA's mixtures with scikit-learn")
    assigner = {
        "type": "MaxIoUAssigner", "pos_iou_thr": 0.1, "neg_iou_thr": 0.1, "min_pos_iou": 0,
        "ignore_iof_thr": -1, "match_low_quality": False,  # which takes anchors from other objects
    }  # fmt: skip
    head = with_squares(
        "PAAHead", seed, bbox_coder=DELTAS, reg_decoded_bbox=True, loss_cls=FOCAL,
        loss_centerness={**CENTRENESS, "loss_weight": 0.5},
        loss_bbox={"type": "GIoULoss", "loss_weight": 1.3},
        train_cfg={"assigner": assigner, **TRAIN},
    )  # fmt: skip
    monkeypatch.setattr(head, "gmm_separation_scheme", up_to_the_likeliest)
    pos_loss = head.get_pos_loss  # its mixtures are fitted in the precision of the losses
    monkeypatch.setattr(head, "get_pos_loss", lambda *given: (pos_loss(*given)[0].double(),))
    model = detectors.PAA(
        num_classes=CLASSES, width=WIDTH, offset=0.0, assign=kedge.PAA(box_weight=1.3)
    )
    fill_points(model.layers, head, "atss_cls", "atss_reg", "atss_centerness")
    names = {"classification": ["loss_cls"], "box": ["loss_bbox"], "quality": ["loss_iou"]}
    compare(
        model, head, objects(COUNTS, seed, SIDES), seed, names,
        head.reg_convs[0].conv.weight, model.layers.box_tower[0].weight,
    )  # fmt: skip


@SEEDS
def test_gfl(seed):
    head = with_squares(
        "GFLHead", seed, train_cfg=BY_ATSS,
        loss_cls={"type": "QualityFocalLoss", "use_sigmoid": True, "beta": 2.0, "loss_weight": 1.0},
        loss_dfl={"type": "DistributionFocalLoss", "loss_weight": 0.25},
    )  # fmt: skip
    with torch.no_grad():
        head.gfl_cls.bias.fill_(0.0)  # so that the scores' sum is above 1, which bounds it there
    model = detectors.GFL(num_classes=CLASSES, width=WIDTH, offset=0.0)
    fill_points(model.layers, head, "gfl_cls", "gfl_reg", "")
    names = {"classification": ["loss_cls"], "box": ["loss_bbox", "loss_dfl"]}
    said, ours = compare(
        model, head, objects(FULL, seed, SIDES), seed, names,
        head.reg_convs[0].conv.weight, model.layers.box_tower[0].weight,
    )  # fmt: skip
    same_maps(ours.logits, said[0])
    same_maps(ours.codes, said[1])


@SEEDS
def test_vfnet(seed, monkeypatch):
    peer = sys.modules[mm.mmdetection().heads.VFNetHead.__module__]
    monkeypatch.setattr(peer, "DeformConv2d", TorchvisionsDeform)
    head = peer.VFNetHead(**PLAIN, stacked_convs=3, strides=STRIDES, train_cfg=BY_ATSS)
    shaken(head, seed)
    with torch.no_grad():
        for scale in (*head.scales, *head.scales_refine):
            scale.scale.fill_(1.0)
        head.vfnet_reg.bias.fill_(-0.7)
    model = detectors.VFNet(num_classes=CLASSES, width=WIDTH, offset=0.0)
    layers = model.layers
    fill_tower(layers.class_tower, head.cls_convs)
    fill_tower(layers.box_tower, head.reg_convs)
    fill_tower(layers.first_tower, [head.vfnet_reg_conv])
    for ours, theirs in (
        (layers.first, head.vfnet_reg), (layers.refine, head.vfnet_reg_refine),
        (layers.classes, head.vfnet_cls), (layers.class_star, head.vfnet_cls_dconv),
        (layers.box_star, head.vfnet_reg_refine_dconv),
    ):  # fmt: skip
        fill(ours, theirs)
    with torch.no_grad():
        layers.first.bias.add_(math.log(8.0))  # theirs is in units of 8 strides
    names = {
        "classification": ["loss_cls"],
        "box": ["loss_bbox_rf"],
        "first_box": ["loss_bbox"],
    }
    said, ours = compare(
        model, head, objects(COUNTS, seed, SIDES), seed, names,
        head.reg_convs[0].conv.weight, layers.box_tower[0].weight,
    )  # fmt: skip
    same_maps(ours.logits, said[0])
    strides = torch.cat([x.new_tensor(float(s)).expand_as(x[:, :1]).flatten(1)
                         for x, s in zip(said[0], STRIDES)], 1)  # fmt: skip
    same_maps(ours.codes.exp() * strides[..., None], said[2])


def tood(seed: int, monkeypatch):
    peer = sys.modules[mm.mmdetection().heads.TOODHead.__module__]
    monkeypatch.setattr(
        peer, "deform_conv2d", lambda feat, offset, weight, *_: deform_conv2d(feat, offset, weight)
    )
    head = with_squares(
        "TOODHead", seed, bbox_coder=DELTAS, stacked_convs=6,
        loss_cls={
            "type": "QualityFocalLoss", "use_sigmoid": True, "activated": True, "beta": 2.0,
            "loss_weight": 1.0,
        },
        train_cfg={
            "initial_epoch": 0, "initial_assigner": BY_ATSS["assigner"],
            "assigner": {"type": "TaskAlignedAssigner", "topk": 13}, "alpha": 1, "beta": 6, **TRAIN,
        },
    )  # fmt: skip
    hub = SimpleNamespace(get_info=lambda name: 1)  # the epoch
    monkeypatch.setattr(peer, "MessageHub", SimpleNamespace(get_current_instance=lambda: hub))
    model = detectors.TOOD(num_classes=CLASSES, width=WIDTH, offset=0.0)
    layers = model.layers
    for own, module in zip(layers.shared, head.inter_convs, strict=True):
        fill_tower(own, [module])
    for own, module in (
        (layers.class_attention, head.cls_decomp), (layers.box_attention, head.reg_decomp),
    ):  # fmt: skip
        own.weights.load_state_dict(module.layer_attention.state_dict())
        fill(own.reduce, module.reduction_conv.conv)
        fill(own.norm, module.reduction_conv.gn)
    fill(layers.classes, head.tood_cls)
    fill(layers.codes, head.tood_reg)
    layers.alignment.load_state_dict(head.cls_prob_module.state_dict())
    layers.offsets.load_state_dict(head.reg_offset_module.state_dict())
    with torch.no_grad():
        layers.scale.copy_(torch.stack([s.scale for s in head.scales]))
        for own, its in ((layers.codes, head.tood_reg), (layers.classes, head.tood_cls)):
            own.bias.copy_(its.bias.fill_(1.0))
    return head, model


@SEEDS
def test_tood(seed, monkeypatch):
    head, model = tood(seed, monkeypatch)
    with torch.no_grad():  # at the edge of a map both read sides differently
        for last in (head.reg_offset_module[2], model.layers.offsets[2]):
            last.weight.zero_()
            last.bias.zero_()
    names = {"classification": ["loss_cls"], "box": ["loss_bbox"]}
    compare(
        model, head, objects(COUNTS, seed, SIDES), seed, names,
        head.inter_convs[0].conv.weight, model.layers.shared[0][0].weight,
    )  # fmt: skip


def test_tood_reads_sides_at_the_same_places(monkeypatch):
    head, model = tood(0, monkeypatch)
    maps = features(0)
    scores, boxes = head(tuple(maps))
    model.backbone, model.pyramid = nn.Identity(), Given(maps)
    ours = model.head(torch.zeros(3, 3, *SIZE))
    same_maps(ours.logits.sigmoid(), scores)
    offsets = head.reg_offset_module[2](torch.zeros(1, WIDTH // 4, 3, 3))
    assert 0 < float(offsets.abs().max()) < 2
    height, width = boxes[0].shape[2:]
    inner = torch.zeros(height, width, dtype=torch.bool)
    inner[4:-4, 4:-4] = True
    cells = inner.flatten().nonzero()[:, 0]
    found = torch.stack([ours.boxes_at(cells + image * len(ours.anchors)) for image in range(3)])
    torch.testing.assert_close(found, 8 * rows(boxes[0], 1)[:, cells], rtol=1e-4, atol=1e-3)


@SEEDS
def test_auto_assign(seed):
    head = mm.mmdetection().heads.AutoAssignHead(
        **PLAIN, strides=STRIDES, loss_bbox={"type": "GIoULoss", "loss_weight": 5.0}
    )
    shaken(head, seed)
    with torch.no_grad():
        head.conv_reg.bias.fill_(4.0)
    model = detectors.AutoAssign(num_classes=CLASSES, width=WIDTH, offset=0.0)
    fill_points(model.layers, head, "conv_cls", "conv_reg", "conv_centerness")
    names = {"positive": ["loss_pos"], "negative": ["loss_neg"], "centre": ["loss_center"]}
    said, ours = compare(
        model, head, apart(seed), seed, names,
        head.reg_convs[0].conv.weight, model.layers.box_tower[0].weight,
    )  # fmt: skip
    same_maps(ours.logits, said[0])
    same_maps(ours.branches["objectness"], said[2])
