"""A detector from settings: the one place that knows detectors by name."""

from kedge.assign.by_name import strategy
from kedge.detectors.base import Detector
from kedge.detectors.retinanet import RetinaNet
from kedge.detectors.yolov2 import YOLOv2
from kedge.train.config import TrainConfig
from kedge.train.start_shapes import LevelShapes


def build_detector(config: TrainConfig, num_classes: int, shapes: LevelShapes) -> Detector:
    """The detector of `config`, with `shapes` (w, h) in pixels on its levels."""
    assign = None if config.assign is None else strategy(config.assign)
    if config.detector == "yolov2":
        return YOLOv2(
            num_classes=num_classes,
            assign=assign,
            shapes=shapes[0],
            backbone=config.backbone,
            stride=config.stride,
            pretrained=config.pretrained,
            learn=config.learn_anchors,
            scale_only_bn=config.scale_only_bn,
        )
    return RetinaNet(
        num_classes=num_classes,
        assign=assign,
        shapes=shapes,
        backbone=config.backbone,
        pretrained=config.pretrained,
        learn=config.learn_anchors,
    )


def strides_of(config: TrainConfig) -> list[float]:
    """Strides of the detector's levels in pixels, finest first, from a throw-away detector."""
    config = config.model_copy(update={"pretrained": False})
    if config.detector == "yolov2":
        sketch = build_detector(config, 1, [[(32.0, 32.0)]])
    else:
        sketch = RetinaNet(num_classes=1, shapes=None, backbone=config.backbone)
    return [float(level.strides[0]) for level in sketch.anchors(config.image_size).levels]
