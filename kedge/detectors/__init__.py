"""Detectors, one file each: compositions of anchors, assigner, coder, layers and losses.

Imported when first asked for: the command line lists their names without needing torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kedge.parts import near

if TYPE_CHECKING:
    from kedge.detectors.dense import Dense, Maps
    from kedge.detectors.detector import Detector
    from kedge.detectors.found import Found
    from kedge.detectors.retinanet import RetinaNet
    from kedge.detectors.stage import Outcome, Stage
    from kedge.detectors.yolov2 import YOLOv2

DETECTORS = {
    "yolov2": "YOLOv2",
    "retinanet": "RetinaNet",
}
"""The detectors by name, which is also the name of the file: the one table of them."""

_PARTS = {
    "Dense": "dense",
    "Detector": "detector",
    "Found": "found",
    "Maps": "dense",
    "Outcome": "stage",
    "Stage": "stage",
}

__all__ = [
    "DETECTORS",
    "Dense",
    "Detector",
    "Found",
    "Maps",
    "Outcome",
    "RetinaNet",
    "Stage",
    "YOLOv2",
]


def detector_class(name: str) -> "type[Detector]":
    """The detector called ``name``; ``ValueError`` lists the names."""
    if name not in DETECTORS:
        raise ValueError(
            f"no detector {name!r}{near(name, DETECTORS)}; there are {', '.join(DETECTORS)}"
        )
    return getattr(import_module(f"{__name__}.{name}"), DETECTORS[name])


def __getattr__(name: str) -> Any:
    homes = _PARTS | {made: home for home, made in DETECTORS.items()}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{homes[name]}"), name)
