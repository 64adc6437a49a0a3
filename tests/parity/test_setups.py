"""The doctor's setup of a peer's model or configuration: its own anchors bit for bit, and the
positives that its own assigner chooses on real images."""

from importlib import import_module
from pathlib import Path

import pytest
import torch
from parity import real
from parity.cases import _near, mm, needs, peers
from torch import Tensor

from kedge import ATSS, FCOS, MaxIoU, Predictions, SimOTA, Targets
from kedge.assign import DynamicSoftLabel, SSDMatch, Uniform
from kedge.coders import DistributionCoder, LTRBCoder
from kedge.interop.doctor_model import setup_of_model

SIZE = (160, 250)  # no multiple of 32: what the peers pad it to is part of the comparison


def objects(folder: Path, size: tuple[int, int] = SIZE) -> list[dict[str, Tensor]]:
    """Real objects, moved off whole pixels, where distances tie."""
    targets = real.batch(folder, "bccd", size)[1]
    return [t | {"boxes": t["boxes"] + torch.tensor([0.013, 0.029, 0.013, 0.029])} for t in targets]


# -- MMDetection -----------------------------------------------------------------------------------


def config(name: str) -> str:
    mm.mmdetection()
    folder = Path(str(import_module("mmdet").__file__)).parent / ".mim" / "configs"
    if not folder.is_dir():
        pytest.skip("MMDetection is installed without its configurations")
    return str(folder / name)


def built(name: str):
    """The detector of a configuration, by MMDetection."""
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope("mmdet"):
        return MODELS.build(Config.fromfile(config(name)).model)


RULES = {
    "retinanet/retinanet_r50_fpn_1x_coco.py": MaxIoU(low_quality="rescuer"),
    "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py": MaxIoU(
        positive=0.7, negative=0.3, low_quality="rescuer", min_low_quality=0.3
    ),
    "atss/atss_r50_fpn_1x_coco.py": ATSS(),
    "ssd/ssd300_coco.py": SSDMatch(),
}


@needs("MMDetection")
@pytest.mark.parametrize("name", RULES)
def test_mmdetections_anchors_and_positives(name, shared_data):
    size = (300, 300) if "ssd" in name else SIZE
    found, detector = setup_of_model(config(name), size), built(name)
    head = detector.rpn_head if "faster" in name else detector.bbox_head
    pixels = [torch.zeros(3, *size, dtype=torch.uint8)]
    inputs = detector.data_preprocessor({"inputs": pixels, "data_samples": None})["inputs"]
    with torch.no_grad():
        maps = [tuple(m.shape[-2:]) for m in detector.eval().extract_feat(inputs)]
    boxes = torch.cat(head.prior_generator.grid_priors(maps, device="cpu"))
    assert torch.equal(found.grid.boxes(), boxes)
    assert found.assign == RULES[name]
    assert found.most == (200 if "ssd" in name else 100)
    assert found.focal is ("retinanet" in name or "atss" in name)
    for target in objects(shared_data, size):
        given = mm.mmdetection().InstanceData(priors=boxes)
        instances = mm.mmdetection_instances(target["boxes"], target["labels"])
        counts = [int(h * w * n) for (h, w), n in zip(maps, head.prior_generator.num_base_priors)]
        levels = [counts] if "atss" in name else []
        theirs = mm.mmdetection_labels(head.assigner.assign(given, *levels, instances))
        ours = found.assign(found.grid, Targets.from_list([target])).dense()[0]
        assert torch.equal(ours, theirs)
        rows = ours >= 0
        if bool(rows.any()):
            truth = target["boxes"][ours[rows]]
            wanted = head.bbox_coder.encode(boxes[rows], truth)
            torch.testing.assert_close(found.coder.encode(boxes[rows], truth), wanted)


@needs("MMDetection")
@pytest.mark.parametrize(
    ("name", "rule", "coder", "offset"),
    [
        ("yolox/yolox_s_8xb8-300e_coco.py", SimOTA(), None, 0.5),
        ("rtmdet/rtmdet_s_8xb32-300e_coco.py", DynamicSoftLabel(), None, 0.0),
        ("yolof/yolof_r50-c5_8xb8-1x_coco.py", Uniform(), None, 0.0),
        ("gfl/gfl_r50_fpn_1x_coco.py", ATSS(), DistributionCoder(reg_max=16), 0.0),
        ("tood/tood_r50_fpn_1x_coco.py", None, LTRBCoder(activation="none"), 0.0),
        ("fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py", None, None, 0.5),
    ],
)
def test_mmdetections_other_heads(name, rule, coder, offset):
    found = setup_of_model(config(name), (160, 256))
    wanted = {"tood": ("TAL", "MMDetection"), "fcos": ("FCOS", "MMDetection")}
    if rule is None:
        rule = peers.COUNTERPARTS[wanted[name.split("/")[0]]]
    assert found.assign == rule
    assert coder is None or found.coder == coder
    assert {level.offset for level in found.grid.levels} == {offset}
    assert found.points is isinstance(rule, (SimOTA, DynamicSoftLabel, FCOS))


@needs("MMDetection")
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("yolo/yolov3_d53_8xb8-ms-608-273e_coco.py", "YOLOV3Head is not understood: known are"),
        ("paa/paa_r50_fpn_1x_coco.py", "PAAHead is not understood"),
        ("detr/detr_r50_8xb2-150e_coco.py", "DETR holds no detector of MMDetection whose"),
        ("absent.py", "MMDetection makes no model of it"),
    ],
)
def test_what_is_not_understood_of_mmdetection_is_named(name, what):
    with pytest.raises(ValueError, match=what):
        setup_of_model(config(name), (160, 256))


@needs("MMDetection")
def test_mmdetections_models_are_left_as_they_were():
    from kedge.interop.mmdetection.setup import setup_of

    given = built("retinanet/retinanet_r50_fpn_1x_coco.py").train()
    modes = [part.training for part in given.modules()]
    state = {key: value.clone() for key, value in given.state_dict().items()}
    found = setup_of(torch.nn.Sequential(given), SIZE)
    assert found.title == "MMDetection's RetinaNet"
    assert modes == [part.training for part in given.modules()]
    assert all(torch.equal(state[key], value) for key, value in given.state_dict().items())
    given.bbox_head.assigner.neg_iou_thr = (0.1, 0.4)
    with pytest.raises(ValueError, match="MaxIoUAssigner of RetinaHead is not understood as it is"):
        setup_of(given, SIZE)
    del given.bbox_head.assigner
    with pytest.raises(ValueError, match="lacks train_cfg"):
        setup_of(given, SIZE)


# -- Ultralytics (AGPL-3.0: called, never shipped) -------------------------------------------------


@needs("Ultralytics")
@pytest.mark.parametrize(
    "name", ["yolov8n.yaml", "yolo11n.yaml", "yolo26n.yaml", "yolo11n-seg.yaml"]
)
def test_ultralytics_points_and_positives(name, shared_data):
    peers.ultralytics()
    from ultralytics import YOLO
    from ultralytics.utils.tal import make_anchors

    from kedge.interop.ultralytics.setup import setup_of

    torch.manual_seed(0)
    given = YOLO(name)
    found = setup_of_model(name, SIZE)
    assert setup_of(given, SIZE).grid.sizes == found.grid.sizes
    assert "criterion" not in vars(given.model)
    assert isinstance(given.model.args, dict)
    head, maps = given.model.model[-1], []
    handle = head.register_forward_pre_hook(lambda _, args: maps.extend(args[0]))
    given.model.eval()(torch.zeros(1, 3, 160, 256))  # sides as Ultralytics rounds them
    handle.remove()
    points, strides = make_anchors(maps, head.stride, 0.5)
    assert torch.equal(found.grid.points(), points * strides)
    assert torch.equal(found.grid.stride()[:, :1], strides)
    assert (found.most, found.points) == (300, True)
    bins = head.reg_max
    wanted = DistributionCoder(reg_max=15) if bins == 16 else LTRBCoder(activation="none")
    assert found.coder == wanted
    from ultralytics.cfg import get_cfg

    given.model.args = get_cfg()
    criterion = given.model.init_criterion()
    assigner = getattr(criterion, "one2many", criterion).assigner
    rng = torch.Generator().manual_seed(1)
    for target in objects(shared_data):
        boxes, labels = target["boxes"], target["labels"]
        if not len(boxes):
            continue
        predicted = _near(found.grid, boxes, 0.3, rng)
        logits = 3 * torch.randn(len(predicted), 80, generator=rng) - 2
        real_ = torch.ones(1, len(boxes), 1, dtype=torch.bool)
        result = assigner(
            logits.sigmoid()[None], predicted[None], points * strides, labels[None, :, None],
            boxes[None], real_,
        )  # fmt: skip
        aligned = result[3][0] & (result[2][0] > 0).any(1)  # the others weigh nothing
        theirs = torch.where(aligned, result[4][0], -1)
        known = Predictions.from_tensors(logits[None], predicted[None])
        ours = found.assign(found.grid, Targets.from_list([target]), known).dense()[0]
        assert torch.equal(ours, theirs)


@needs("Ultralytics")
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("yolo11n-obb.yaml", "RotatedTaskAlignedAssigner is not known"),
        ("yolo11n-cls.yaml", "has no task-aligned assigner"),
        ("absent.yaml", "Ultralytics makes no model of it"),
    ],
)
def test_what_is_not_understood_of_ultralytics_is_named(name, what):
    peers.ultralytics()
    with pytest.raises(ValueError, match=what):
        setup_of_model(name, SIZE)


# -- Detectron2 ------------------------------------------------------------------------------------


@needs("Detectron2")
@pytest.mark.parametrize("kind", ["RetinaNet", "ProposalNetwork", "C4"])
def test_detectron2s_anchors_and_positives(kind, shared_data, tmp_path):
    peers.detectron2()
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model
    from detectron2.structures import Boxes, ImageList, Instances

    from kedge.interop.detectron2.setup import setup_of

    (tmp_path / "model.yaml").write_text(YAML[kind])
    settings = get_cfg()
    settings.merge_from_file(str(tmp_path / "model.yaml"), allow_unsafe=True)
    settings.MODEL.DEVICE = "cpu"
    model = build_model(settings)
    owner = model if kind == "RetinaNet" else model.proposal_generator
    names = model.head_in_features if kind == "RetinaNet" else owner.in_features
    divisor = model.backbone.size_divisibility
    images = ImageList.from_tensors([torch.zeros(3, *SIZE)], divisor).tensor
    with torch.no_grad():
        features = model.eval().backbone(images)
    anchors = owner.anchor_generator([features[name] for name in names])
    boxes = torch.cat([level.tensor for level in anchors])
    read, made = setup_of_model(str(tmp_path / "model.yaml"), SIZE), setup_of(model, SIZE)
    assert torch.equal(read.grid.boxes(), boxes)
    assert torch.equal(made.grid.boxes(), boxes)
    assert read.assign == made.assign
    assert read.coder == made.coder
    assert (read.focal, read.strides) == (made.focal, made.strides)
    for target in objects(shared_data):
        part = Instances(SIZE)
        part.gt_boxes, part.gt_classes = Boxes(target["boxes"]), target["labels"]
        matrix = peers.detectron2().pairwise_iou(part.gt_boxes, Boxes(boxes))
        index, label = owner.anchor_matcher(matrix)
        theirs = torch.where(label == 1, index, torch.where(label == 0, -1, -2))
        for found in (read, made):
            ours = found.assign(found.grid, Targets.from_list([target])).dense()[0]
            assert torch.equal(ours, theirs)


RETINANET = """
MODEL:
  META_ARCHITECTURE: "RetinaNet"
  BACKBONE: {NAME: build_retinanet_resnet_fpn_backbone}
  RESNETS: {OUT_FEATURES: ["res3", "res4", "res5"]}
  FPN: {IN_FEATURES: ["res3", "res4", "res5"]}
  ANCHOR_GENERATOR:
    SIZES: !!python/object/apply:eval ["[[x, x * 2**(1.0/3)] for x in [32, 64, 128, 256, 512]]"]
"""
PROPOSALS = """
MODEL:
  META_ARCHITECTURE: "ProposalNetwork"
  BACKBONE: {NAME: build_resnet_fpn_backbone}
  RESNETS: {OUT_FEATURES: ["res2", "res3", "res4", "res5"]}
  FPN: {IN_FEATURES: ["res2", "res3", "res4", "res5"]}
  ANCHOR_GENERATOR: {SIZES: [[32], [64], [128], [256], [512]], OFFSET: 0.5}
  RPN: {IN_FEATURES: ["p2", "p3", "p4", "p5", "p6"]}
"""
YAML = {
    "RetinaNet": RETINANET,
    "ProposalNetwork": PROPOSALS,
    "C4": "MODEL:\n  META_ARCHITECTURE: ProposalNetwork\n",
}
