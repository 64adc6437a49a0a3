"""Detectors, one file each: compositions of anchors, assigner, coder, layers and losses.

Imported when first asked for: the command line lists their names without needing torch.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kedge.detectors.dense import Dense, Maps
    from kedge.detectors.detector import Detector
    from kedge.detectors.faster_rcnn import FasterRCNN
    from kedge.detectors.keypoint import Keypoint
    from kedge.detectors.retinanet import RetinaNet
    from kedge.detectors.stage import Outcome, Stage
    from kedge.detectors.two_stage import TwoStage
    from kedge.detectors.yolov2 import YOLOv2

DETECTORS = {
    "yolov2": "YOLOv2",
    "retinanet": "RetinaNet",
    "faster_rcnn": "FasterRCNN",
}
"""The detectors by name, which is also the name of the file: the one table of them."""

_PARTS = {
    "Dense": "dense",
    "Detector": "detector",
    "Keypoint": "keypoint",
    "Maps": "dense",
    "Outcome": "stage",
    "Stage": "stage",
    "TwoStage": "two_stage",
}

__all__ = [
    "DETECTORS",
    "Dense",
    "Detector",
    "FasterRCNN",
    "Keypoint",
    "Maps",
    "Outcome",
    "RetinaNet",
    "Stage",
    "TwoStage",
    "YOLOv2",
    "detector_class",
]


def detector_class(name: str) -> "Callable[..., Detector]":
    """The detector called ``name``; ``ValueError`` lists the names."""
    if name not in DETECTORS:
        raise ValueError(f"no detector {name!r}; there are {', '.join(DETECTORS)}")
    return getattr(import_module(f"{__name__}.{name}"), DETECTORS[name])


def __getattr__(name: str) -> Any:
    homes = _PARTS | {made: home for home, made in DETECTORS.items()}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{homes[name]}"), name)
