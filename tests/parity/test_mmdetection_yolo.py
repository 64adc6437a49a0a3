"""MMDetection's YOLOv3, YOLOX, RTMDet and YOLOF: layers with copied weights, and losses.

The same maps give the same outputs; the same outputs cost the same, with the same gradient.
Differences: YOLOv3's targets are not compared, since MMDetection chooses by IoU thresholds where
darknet and Kedge take the best of nine shapes; YOLOF's box loss counts an anchor twice that is near
an object both as such and by its prediction, and its classes an image without objects as one.
"""

import pytest
import torch
from parity.cases import CLASSES, mm, needs
from parity.test_mmdetection_heads import SIZE, apart, close, instances, maps, metas, objects
from torch import Tensor, nn

from kedge import Grid, Level, Predictions, Targets, preset
from kedge.assign import DynamicSoftLabel, SimOTA, Uniform
from kedge.coders import DeltaCoder, LTRBCoder, YOLOv3Coder
from kedge.detectors import YOLOF
from kedge.detectors.rtmdet import rtmdet_loss
from kedge.detectors.yolox import yolox_loss
from kedge.losses import CellCodes, CrossEntropy, DenseLoss, Objectness, per_image
from kedge.nn import (
    CSPDarknet,
    CSPNeXt,
    Darknet53,
    DecoupledHead,
    DilatedEncoder,
    PathAggregation,
    YolofDecoder,
    YoloOutput,
    YoloPyramid,
)
from kedge.nn.csp import CSPLayer
from kedge.types import Assignment

pytestmark = needs("MMDetection")
STRIDES = (8, 16, 32)
CHANNELS = (8, 16, 32)


def put(ours: nn.Module, theirs: nn.Module) -> None:
    """Random values into their parameters and statistics, and those into ours, in order."""
    with torch.no_grad():
        for value in theirs.state_dict().values():
            if value.ndim == 4:
                value.uniform_(-0.3, 0.3)
            elif value.ndim == 1:
                value.uniform_(0.5, 1.5)
    stated = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    ours.load_state_dict(stated)


def put_csp(ours: CSPLayer, theirs: nn.Module) -> None:
    put(ours.main[0], theirs.main_conv)
    put(ours.main[1:], theirs.blocks)
    put(ours.short, theirs.short_conv)
    put(ours.mix, theirs.final_conv)
    if theirs.channel_attention:
        put(ours.attention, theirs.attention)


def put_all(ours, theirs) -> None:
    for one, other in zip(ours, theirs, strict=True):
        (put_csp if isinstance(one, CSPLayer) else put)(one, other)


def features(width: int | None = None, size: tuple[int, int] = (64, 96)) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, width or c, size[0] // s, size[1] // s, generator=random)
        for c, s in zip(CHANNELS, STRIDES)
    ]


def equal(ours, theirs) -> None:
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def flat(levels) -> Tensor:
    """(B, C, H, W) maps of one anchor a cell as (B, N, C)."""
    return torch.cat([x.flatten(2).transpose(1, 2) for x in levels], 1)


# -- layers ----------------------------------------------------------------------------------------


def test_yolov3s_backbone():
    theirs, ours = mm.mmdetection().backbones.Darknet(53), Darknet53().eval()
    theirs.eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    equal(ours(image), theirs(image))


def test_yolov3s_neck_and_head():
    neck = (
        mm.mmdetection().necks.YOLOV3Neck(3, [32, 16, 8], [12, 8, 4]).eval()
    )  # theirs begin with the coarsest
    head = yolov3_head([12, 8, 4], [24, 16, 8]).eval()
    ours = YoloPyramid(CHANNELS, (4, 8, 12)).eval()
    outputs = [YoloOutput(c, 3, CLASSES).eval() for c in ours.channels]
    for level in range(3):
        put(ours.gather[2 - level], getattr(neck, f"detect{level + 1}"))
        put(ours.last[2 - level], head.convs_bridge[level])
        put(outputs[2 - level], head.convs_pred[level])
    for level in (1, 2):
        put(ours.laterals[2 - level], getattr(neck, f"conv{level}"))
    (found,) = head(neck(features()))
    for x, output, theirs in zip(ours(features()), outputs, reversed(found)):
        codes, objectness, logits = output(x)
        joined = torch.cat([codes, objectness[..., None], logits], -1)
        equal([joined], [theirs.permute(0, 2, 3, 1).reshape(2, -1, 5 + CLASSES)])


@pytest.mark.parametrize("name", ["CSPDarknet", "CSPNeXt"])
def test_csp_backbones_after_their_stem(name):
    theirs = getattr(mm.mmdetection().backbones, name)(deepen_factor=0.33, widen_factor=0.5)
    theirs.eval()
    theirs.double()
    ours = {"CSPDarknet": CSPDarknet, "CSPNeXt": CSPNeXt}[name]("s").eval().double()
    for stage, number in (("4", 1), ("8", 2), ("16", 3), ("32", 4)):
        one, other = ours.stages[stage], getattr(theirs, f"stage{number}")
        put(one[0], other[0])
        if stage == "32":
            put(one[1].squeeze, other[1].conv1)
            put(one[1].mix, other[1].conv2)
        put_csp(one[2], other[-1])
    x = torch.rand(1, 32, 32, 48, generator=torch.Generator().manual_seed(0)).double()
    for stage, number in (("4", 1), ("8", 2), ("16", 3), ("32", 4)):
        equal([ours.stages[stage](x)], [getattr(theirs, f"stage{number}")(x)])
        x = ours.stages[stage](x)
        x = x / x.abs().max()


def test_their_stems():
    backbones = mm.mmdetection().backbones
    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    theirs, ours = backbones.CSPNeXt(widen_factor=0.5), CSPNeXt("s").eval()
    theirs.eval()
    put(ours.stem, theirs.stem)
    equal([ours.stem(image)], [theirs.stem(image)])
    theirs, ours = backbones.CSPDarknet(widen_factor=0.5), CSPDarknet("s").eval()
    theirs.eval()
    put(ours.stem, theirs.stem)
    # theirs: the four pixels of a block one after another, each with its colours; ours by colour
    order = [colour + 3 * pixel for colour in range(3) for pixel in (0, 2, 1, 3)]
    with torch.no_grad():
        conv = ours.stem[1][0]
        conv.weight.copy_(theirs.stem.conv.conv.weight[:, order])
    equal([ours.stem(image)], [theirs.stem(image)])


@pytest.mark.parametrize("name", ["YOLOXPAFPN", "CSPNeXtPAFPN"])
def test_path_aggregation(name):
    theirs = getattr(mm.mmdetection().necks, name)(list(CHANNELS), 12, num_csp_blocks=2).eval()
    large = name == "CSPNeXtPAFPN"
    ours = PathAggregation(CHANNELS, 12, blocks=2, large=large, kernel=3 if large else 1).eval()
    put_all(ours.narrow, list(theirs.reduce_layers)[::-1])
    put_all(ours.down, list(theirs.top_down_blocks)[::-1])
    put_all(ours.stride, theirs.downsamples)
    put_all(ours.up, theirs.bottom_up_blocks)
    put_all(ours.out, theirs.out_convs)
    equal(ours(features()), theirs(features()))


def test_yoloxs_head():
    theirs = yolox_head(8).eval()
    ours = DecoupledHead(8, CLASSES, levels=3).eval()
    for level in range(3):
        for tower, convs in (
            (ours.class_tower, theirs.multi_level_cls_convs),
            (ours.box_tower, theirs.multi_level_reg_convs),
        ):
            for i in range(2):
                put(tower.convs[level][i], convs[level][i].conv)
                put(tower.norms[level][i], convs[level][i].bn)
        put(ours.classes[level], theirs.multi_level_conv_cls[level])
        put(ours.codes[level], theirs.multi_level_conv_reg[level])
        put(ours.objectness[level], theirs.multi_level_conv_obj[level])
    logits, codes, objectness = ours(features(8))
    classes, boxes, said = theirs(features(8))
    equal([logits, codes, objectness[..., None]], [flat(classes), flat(boxes), flat(said)])


def test_rtmdets_head():
    theirs = rtmdet_head(8).eval()
    ours = DecoupledHead(8, CLASSES, levels=3, objectness=False, shared=True).eval()
    for level in range(3):
        for tower, convs in (
            (ours.class_tower, theirs.cls_convs),
            (ours.box_tower, theirs.reg_convs),
        ):
            for i in range(2):
                put(tower.norms[level][i], convs[level][i].bn)
                put(tower.convs[0][i], convs[0][i].conv)
        put(ours.classes[level], theirs.rtm_cls[level])
        put(ours.codes[level], theirs.rtm_reg[level])
    small = [x / 10 for x in features(8)]
    logits, codes, _ = ours(small)
    classes, sides = theirs(small)
    stride = torch.cat([torch.full((x[0, 0].numel(),), s) for x, s in zip(small, STRIDES)])
    equal([logits, codes.exp() * stride[:, None]], [flat(classes), flat(sides)])


def test_yolofs_encoder_and_decoder():
    encoder = mm.mmdetection().necks.DilatedEncoder(32, 8, 2, 4, [2, 4, 6, 8]).eval()
    head = yolof_head(8).eval()
    ours, decoder = DilatedEncoder(32, 8).eval(), YolofDecoder(8, 5, CLASSES).eval()
    put(ours, encoder)
    put(decoder.class_tower, head.cls_subnet)
    put(decoder.box_tower, head.bbox_subnet)
    put(decoder.classes, head.cls_score)
    put(decoder.codes, head.bbox_pred)
    put(decoder.objectness, head.object_pred)
    x = features()[2]
    (seen,) = encoder([x])
    equal([ours(x)], [seen])
    x = features(8)[2]
    logits, codes = decoder(x)
    scores, boxes = head.forward_single(x)
    per_row = [y.permute(0, 2, 3, 1).reshape(2, -1, width) for y, width in
               ((scores, CLASSES), (boxes, 4))]  # fmt: skip
    equal([logits, codes], per_row)


# -- losses ----------------------------------------------------------------------------------------


def yolov3_head(inputs, outputs):
    return mm.mmdetection().heads.YOLOV3Head(
        num_classes=CLASSES,
        in_channels=inputs,
        out_channels=outputs,
        loss_cls={"type": "CrossEntropyLoss", "use_sigmoid": True, "reduction": "sum"},
        loss_conf={"type": "CrossEntropyLoss", "use_sigmoid": True, "reduction": "sum"},
        loss_xy={
            "type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 2.0, "reduction": "sum",
        },
        loss_wh={"type": "MSELoss", "loss_weight": 2.0, "reduction": "sum"},
        train_cfg={
            "assigner": {
                "type": "GridAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.5, "min_pos_iou": 0,
            }
        },
    )  # fmt: skip


def yolox_head(width: int = 8):
    return mm.mmdetection().heads.YOLOXHead(
        num_classes=CLASSES,
        in_channels=width,
        feat_channels=width,
        train_cfg={"assigner": {"type": "SimOTAAssigner", "center_radius": 2.5}},
    )


def rtmdet_head(width: int = 8):
    return mm.mmdetection().heads.RTMDetSepBNHead(
        num_classes=CLASSES,
        in_channels=width,
        feat_channels=width,
        stacked_convs=2,
        with_objectness=False,
        exp_on_reg=True,
        anchor_generator={"type": "MlvlPointGenerator", "offset": 0, "strides": list(STRIDES)},
        bbox_coder={"type": "DistancePointBBoxCoder"},
        loss_cls={"type": "QualityFocalLoss", "use_sigmoid": True, "beta": 2.0, "loss_weight": 1.0},
        loss_bbox={"type": "GIoULoss", "loss_weight": 2.0},
        train_cfg={
            "assigner": {"type": "DynamicSoftLabelAssigner", "topk": 13},
            "allowed_border": -1,
            "pos_weight": -1,
        },
    )


def yolof_head(width: int = 8):
    return mm.mmdetection().heads.YOLOFHead(
        num_classes=CLASSES,
        in_channels=width,
        anchor_generator={
            "type": "AnchorGenerator", "ratios": [1.0], "scales": [1, 2, 4, 8, 16], "strides": [32],
        },
        bbox_coder={
            "type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": [1.0] * 4,
            "add_ctr_clamp": True, "ctr_clamp": 32,
        },
        loss_cls={
            "type": "FocalLoss", "use_sigmoid": True, "gamma": 2.0, "alpha": 0.25,
            "loss_weight": 1.0,
        },
        loss_bbox={"type": "GIoULoss", "loss_weight": 1.0},
        train_cfg={
            "assigner": {"type": "UniformAssigner", "pos_ignore_thr": 0.15, "neg_ignore_thr": 0.7},
            "allowed_border": -1,
            "pos_weight": -1,
        },
    )  # fmt: skip


def yolov3_targets(head, targets: Targets, grid: Grid) -> Assignment:
    """What MMDetection's assigner chooses, as an assignment on ``grid``, finest level first."""
    sizes = [torch.Size(size) for size in reversed(grid.sizes)]
    priors = head.prior_generator.grid_priors(sizes, device="cpu")
    anchor, target, ignored = [], [], []
    for image in range(targets.batch_size):
        rows = (targets.image == image).nonzero()[:, 0]
        given = mm.mmdetection_instances(targets.boxes[rows], targets.labels[rows])
        flags = head.responsible_flags(sizes, given.bboxes, "cpu")
        found = head.assigner.assign(
            mm.mmdetection().InstanceData(
                priors=torch.cat(priors), responsible_flags=torch.cat(flags)
            ),
            given,
        ).gt_inds
        found = torch.cat(found.split([len(p) for p in priors])[::-1])
        chosen = (found > 0).nonzero()[:, 0]
        anchor.append(chosen + image * len(grid))
        target.append(rows[found[chosen] - 1])
        ignored.append((found < 0).nonzero()[:, 0] + image * len(grid))
    anchor, target, ignored = (torch.cat(x) for x in (anchor, target, ignored))
    return Assignment(
        anchor=anchor, target=target, ignored=ignored, targets=targets, anchors=grid,
        num_anchors=len(grid),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_yolov3s_losses_of_the_same_targets(seed):
    levels = [Level(stride=x.stride, shapes=x.shapes) for x in preset("yolov3").levels]
    grid = Grid(SIZE, levels)
    targets = objects((4, 1, 3), seed, (16.0, 120.0))
    random = torch.Generator().manual_seed(seed)
    raw = torch.randn(3, len(grid), 5 + CLASSES, generator=random).requires_grad_()
    head = yolov3_head([1, 1, 1], [1, 1, 1])
    theirs = head.loss_by_feat(maps(raw, grid)[::-1], instances(targets), metas(3))
    theirs = {name: torch.stack(list(parts)).sum() for name, parts in theirs.items()}
    said = Predictions.from_codes(raw[..., 5:], raw[..., :4], grid, YOLOv3Coder(), raw[..., 4])
    loss = DenseLoss(
        classes=CrossEntropy(), box=CellCodes(place=2.0, size=4.0, by_size=False),
        objectness=Objectness(), normalise=per_image,
    )  # fmt: skip
    chosen = yolov3_targets(head, targets, grid)
    assert len(chosen) > 0
    ours = loss(said, chosen).terms
    count = max(len(chosen), 3)
    close(
        [count * ours[name] for name in ("classification", "objectness", "box")],
        [theirs["loss_cls"], theirs["loss_conf"], theirs["loss_xy"] + theirs["loss_wh"]],
        [raw],
    )


def outputs(grid: Grid, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, codes and objectness of a batch of three."""
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(3, len(grid), CLASSES, generator=random) - 2
    codes = torch.randn(3, len(grid), 4, generator=random)
    objectness = torch.randn(3, len(grid), generator=random) - 1
    return logits.requires_grad_(), codes.requires_grad_(), objectness.requires_grad_()


@pytest.mark.parametrize("seed", range(5))
def test_yoloxs_targets_and_losses(seed):
    grid, targets = Grid(SIZE, [Level(stride=s) for s in STRIDES]), apart(seed)
    logits, codes, objectness = outputs(grid, seed)
    theirs = yolox_head().loss_by_feat(
        maps(logits, grid), maps(codes, grid), maps(objectness[..., None], grid),
        instances(targets), metas(3),
    )  # fmt: skip
    coder = DeltaCoder(means=(-0.5, -0.5, 0.0, 0.0))
    said = Predictions.from_codes(logits, codes, grid, coder, objectness)
    ours = yolox_loss()(said, SimOTA()(grid, targets, said)).terms
    close(
        [ours[name] for name in ("classification", "box", "objectness")],
        [theirs[name] for name in ("loss_cls", "loss_bbox", "loss_obj")],
        [logits, codes, objectness],
    )


@pytest.mark.parametrize("seed", range(5))
def test_rtmdets_targets_and_losses(seed):
    grid = Grid(SIZE, [Level(stride=s, offset=0.0) for s in STRIDES])
    targets = objects((4, 0, 1), seed, (30.0, 120.0))
    logits, codes, _ = outputs(grid, seed)
    sides = (codes + 1).exp() * grid.stride().repeat(1, 2)
    theirs = rtmdet_head().loss_by_feat(
        maps(logits, grid), maps(sides, grid), instances(targets), metas(3)
    )
    said = Predictions.from_codes(logits, codes + 1, grid, LTRBCoder(activation="exp"))
    chosen = DynamicSoftLabel()(grid, targets, said)
    assert chosen.quality.sum() > 1  # below, MMDetection divides boxes by 1
    ours = rtmdet_loss()(said, chosen).terms
    close(
        [ours["classification"], ours["box"]],
        [sum(theirs["loss_cls"]), sum(theirs["loss_bbox"])],
        [logits, codes],
    )


def open_to_doubt(targets: Targets, said: Predictions, grid: Grid) -> bool:
    """Whether an anchor is near an object as such and by its prediction, or near two; or whether
    the fourth and the fifth nearest tie, as squares do whose side lies between an object's."""
    wanted = []
    for image in range(targets.batch_size):
        boxes = targets.boxes[targets.image == image]
        rows = torch.arange(len(grid)) + image * len(grid)
        for found in (grid.boxes(), said.boxes_at(rows).detach()):
            middle = (found[:, None, :2] + found[:, None, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2
            side = found[:, None, 2:] - found[:, None, :2] - boxes[:, 2:] + boxes[:, :2]
            distance, near = (middle.abs().sum(-1) + side.abs().sum(-1)).sort(0)
            if (distance[4] - distance[3] < 1e-3).any():
                return True
            wanted += rows[near[:4]].flatten().tolist()
    return len(set(wanted)) < len(wanted)


def test_yolofs_targets_and_losses():
    model = YOLOF(num_classes=CLASSES, backbone="tiny", stride=32, width=8)
    compared = 0
    for seed in range(150):
        grid, targets = model.grid(SIZE), objects((2, 1, 1), seed, (70.0, 120.0))
        logits, codes, _ = outputs(grid, seed)
        said = Predictions.from_codes(logits, codes, grid, model.coder)
        if open_to_doubt(targets, said, grid):
            continue
        theirs = yolof_head().loss_by_feat(
            maps(logits, grid), maps(codes, grid), instances(targets), metas(3)
        )
        chosen = Uniform()(grid, targets, said)
        assert len(set(chosen.image.tolist())) == 3  # an image without pairs counts as one there
        ours = model.loss(said, chosen).terms
        close(
            [ours["classification"], ours["box"]],
            [theirs["loss_cls"], theirs["loss_bbox"]],
            [logits, codes],
        )
        compared += 1
    assert compared > 3
