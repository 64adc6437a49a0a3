"""What `dropin.py` measures: a detector of each peer, and a call that takes the loss of a batch or
trains a step.

The network's outputs for one image serve a whole batch where only its loss is measured: what is
timed is the assignment and the losses, which come out of the peer's own code.
"""

import math
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from peers import detectron2, ultralytics
from peers_mmdetection import mmdetection, mmdetection_instances
from torch import Tensor
from torchvision.models.detection import fcos_resnet50_fpn, retinanet_resnet50_fpn

CLASSES = 20
PARTS = {"weights": None, "weights_backbone": None, "num_classes": CLASSES}
TORCHVISION = {
    "RetinaNet": partial(retinanet_resnet50_fpn, **PARTS),
    "FCOS": partial(fcos_resnet50_fpn, **PARTS),
}
Call = Callable[[], object]


def objects(count: int, side: int, rng: torch.Generator) -> dict[str, Tensor]:
    """Objects that cover the image about once, whatever their number; sides from 4 px."""
    mean = max(4.0, side / math.sqrt(count))
    size = mean * 4 ** (torch.rand(count, 2, generator=rng) - 0.5)
    size = size.clamp(max=side - 1)
    corner = torch.rand(count, 2, generator=rng) * (side - size)
    labels = torch.randint(1, CLASSES, (count,), generator=rng)
    return {"boxes": torch.cat([corner, corner + size], 1), "labels": labels}


def given_to_loss(model: Any, images: list, targets: list) -> tuple:
    """What ``compute_loss`` of one of torchvision's detectors is called with, without a graph."""
    seen: list[tuple] = []
    with torch.no_grad():
        model.compute_loss = lambda *given: seen.append(given) or {}
        model(images, [dict(target) for target in targets])
        del model.compute_loss
    return seen[0]


def torchvision_calls(name: str, count: int, batch: int, side: int, step: bool, seed: int):
    """(model, a call that assigns or trains a step) of one of torchvision's detectors."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    model: Any = TORCHVISION[name]().train()
    model.transform.min_size, model.transform.max_size = (side,), side
    targets = [objects(count, side, rng) for _ in range(batch)]
    images = torch.rand(batch, 3, side, side, generator=rng)

    def train() -> None:
        model.zero_grad()
        sum(model(list(images), [dict(t) for t in targets]).values()).backward()

    if step:
        return model, train
    model.eval()
    model.training = model.transform.training = True
    _, outputs, (anchors,), *rest = given_to_loss(model, list(images[:1]), targets[:1])
    model.head.compute_loss = lambda *given: {}  # the detector's losses alone, without the head's
    outputs = {name: rows.repeat(batch, 1, 1) for name, rows in outputs.items()}
    return model, lambda: model.compute_loss(targets, outputs, [anchors] * batch, *rest)


def yolo_calls(name: str, count: int, batch: int, side: int, step: bool, seed: int):
    """The same of an Ultralytics model."""
    ultralytics()
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    model: Any = DetectionModel(f"{name}.yaml", nc=CLASSES, verbose=False).train()
    model.args = get_cfg()
    parts = [objects(count, side, rng) for _ in range(batch)]
    low, high = (torch.cat([part["boxes"] for part in parts]) / side).split(2, dim=1)
    data = {
        "img": torch.rand(batch, 3, side, side, generator=rng),
        "batch_idx": torch.arange(batch).repeat_interleave(count).float(),
        "cls": torch.cat([part["labels"] for part in parts]).float(),
        "bboxes": torch.cat([(low + high) / 2, high - low], 1),
    }

    def train() -> None:
        model.zero_grad()
        model(dict(data))[0].sum().backward()

    if step:
        return model, train
    with torch.no_grad():
        outputs = model(data["img"])
    return model, lambda: model.loss(dict(data), outputs)


def mmdetection_calls(name: str, count: int, batch: int, side: int, step: bool, seed: int):
    """The same of MMDetection: RetinaNet as configured there, on ResNet-50."""
    mmdetection()
    from mmdet.registry import MODELS
    from mmdet.structures import DetDataSample
    from mmengine.config import ConfigDict
    from mmengine.registry import DefaultScope

    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    with DefaultScope.overwrite_default_scope("mmdet"):
        model: Any = MODELS.build(ConfigDict(MMDETECTION)).train()
    samples = []
    for _ in range(batch):
        part = objects(count, side, rng)
        shape = {"img_shape": (side, side), "pad_shape": (side, side), "scale_factor": (1, 1)}
        samples.append(DetDataSample(metainfo=shape))
        samples[-1].gt_instances = mmdetection_instances(part["boxes"], part["labels"])
    if step:
        images = torch.rand(batch, 3, side, side, generator=rng)

        def train() -> None:
            model.zero_grad()
            parts = model.loss(images, samples).values()
            sum(value for part in parts for value in part).backward()

        return model, train
    with torch.no_grad():
        outputs = model.bbox_head(model.extract_feat(torch.rand(1, 3, side, side)))
    outputs = [[level.repeat(batch, 1, 1, 1) for level in part] for part in outputs]
    instances = [sample.gt_instances for sample in samples]
    metas = [sample.metainfo for sample in samples]
    return model, lambda: model.bbox_head.loss_by_feat(*outputs, instances, metas)


MMDETECTION = {
    "type": "RetinaNet",
    "backbone": {"type": "ResNet", "depth": 50, "norm_eval": True, "frozen_stages": 1},
    "neck": {
        "type": "FPN", "in_channels": [256, 512, 1024, 2048], "out_channels": 256,
        "start_level": 1, "add_extra_convs": "on_input", "num_outs": 5,
    },
    "bbox_head": {
        "type": "RetinaHead", "num_classes": CLASSES, "in_channels": 256,
        "anchor_generator": {
            "type": "AnchorGenerator", "octave_base_scale": 4, "scales_per_octave": 3,
            "ratios": [0.5, 1.0, 2.0], "strides": [8, 16, 32, 64, 128],
        },
    },
    "train_cfg": {
        "assigner": {
            "type": "MaxIoUAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.4, "min_pos_iou": 0,
            "ignore_iof_thr": -1,
        },
        "sampler": {"type": "PseudoSampler"}, "allowed_border": -1, "pos_weight": -1,
    },
}  # fmt: skip


def detectron2_calls(name: str, count: int, batch: int, side: int, step: bool, seed: int):
    """The same of Detectron2: RetinaNet as configured there, on ResNet-50."""
    detectron2()
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model
    from detectron2.structures import Boxes, Instances
    from detectron2.utils.events import EventStorage

    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    config = get_cfg()
    config.MODEL.DEVICE, config.MODEL.WEIGHTS = "cpu", ""
    config.MODEL.META_ARCHITECTURE = "RetinaNet"
    config.MODEL.BACKBONE.NAME = "build_retinanet_resnet_fpn_backbone"
    config.MODEL.RESNETS.OUT_FEATURES = config.MODEL.FPN.IN_FEATURES = ["res3", "res4", "res5"]
    octaves = [2 ** (i / 3) for i in range(3)]
    config.MODEL.ANCHOR_GENERATOR.SIZES = [
        [s * o for o in octaves] for s in (32, 64, 128, 256, 512)
    ]
    config.MODEL.RETINANET.NUM_CLASSES = CLASSES
    model: Any = build_model(config).train()
    instances = []
    for _ in range(batch):
        part = objects(count, side, rng)
        instances.append(Instances((side, side)))
        instances[-1].gt_boxes = Boxes(part["boxes"])
        instances[-1].gt_classes = part["labels"]
    images = torch.rand(batch if step else 1, 3, side, side, generator=rng)
    given = [{"image": image, "instances": part} for image, part in zip(images, instances)]

    def train() -> None:
        model.zero_grad()
        with EventStorage():
            sum(model(given).values()).backward()

    if step:
        return model, train
    with torch.no_grad():
        features = model.backbone(images)
        maps = [features[name] for name in model.head_in_features]
        outputs = [[level.repeat(batch, 1, 1, 1) for level in part] for part in model.head(maps)]

    def loss() -> object:
        with torch.no_grad(), EventStorage():
            return model.forward_training(SimpleNamespace(), maps, outputs, instances)

    return model, loss
