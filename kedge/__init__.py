"""Kedge: anchors in object detection. Propose, learn, assign, encode, detect, explain."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# imported when first asked for: torch takes seconds, and `kedge --help` does not need it.
# A name stands here, in __init__.pyi and in tests/test_public_names.py
_HOMES = {
    "kedge.anchors": (
        "Boxes", "ByGCD", "ByNWD", "BySimD", "Free", "Grid", "LearnedShapes", "Level", "preset",
    ),
    "kedge.assign": (
        "ATSS", "AlignedOTA", "AutoAssign", "BestInCell", "BestPredictionInCell", "CentreRegion",
        "DW", "DynamicSoftLabel", "FCOS", "FreeAnchor", "Guaranteed", "Hungarian", "LADA", "MAL",
        "MaxIoU", "NoisyAnchors", "OTA", "OneToFew", "PAA", "POTO", "RFLA", "Ranked", "SSDMatch",
        "SimOTA", "SizeIoU", "SoftCell", "TAL", "Uniform", "YOLOv3", "YOLOv5", "YOLOv7",
    ),
    "kedge.coders": (
        "DeltaCoder", "DistributionCoder", "LTRBCoder", "RootCoder", "TBLRCoder", "YOLOv2Coder",
        "YOLOv3Coder", "YOLOv5Coder",
    ),
    "kedge.data": ("read",),
    "kedge.design.kmeans": ("kmeans",),
    # a detector that is called as its strategy (FCOS, ATSS ...) is found in kedge.detectors only
    "kedge.detectors": (
        "CascadeRCNN", "Detector", "Dual", "FastRCNN", "FasterRCNN", "FasterRCNNC4", "Found", "GFL",
        "GFLTiny", "RCNN", "RFCN", "RTMDet", "RefineDet", "RetinaNet", "SSD", "SSDLite",
        "SlidingWindowDetector", "Stage", "TOOD", "VFNet", "YOLOF", "YOLOX", "YOLOv1", "YOLOv2",
    ),
    "kedge.losses": ("DenseLoss",),
    "kedge.select": ("Selection",),
    "kedge.train": ("load", "save"),
    "kedge.types": ("Assignment", "Detections", "Predictions", "Targets"),
}  # fmt: skip

__all__ = [name for names in (*_HOMES.values(), ("__version__",)) for name in names]  # pyright: ignore
__all__.sort()  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            found = globals()[name] = getattr(import_module(home), name)
            return found
    raise AttributeError(f"module 'kedge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
