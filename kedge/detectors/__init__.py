"""Detectors, one file each: compositions of anchors, assigner, coder, layers and losses.

Imported when first asked for: the command line lists their names without needing torch.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from kedge.lazy import lazily
from kedge.parts import near

if TYPE_CHECKING:  # `as` shows a name to type checkers
    from kedge.detectors.atss import ATSS as ATSS
    from kedge.detectors.autoassign import AutoAssign as AutoAssign
    from kedge.detectors.cascade_rcnn import CascadeRCNN as CascadeRCNN
    from kedge.detectors.cornernet import CornerNet as CornerNet
    from kedge.detectors.denet import DeNet as DeNet
    from kedge.detectors.dense import Dense as Dense
    from kedge.detectors.dense import Maps as Maps
    from kedge.detectors.detector import Detector as Detector
    from kedge.detectors.dual import Dual as Dual
    from kedge.detectors.dw import DW as DW
    from kedge.detectors.extremenet import ExtremeNet as ExtremeNet
    from kedge.detectors.fast_rcnn import FastRCNN as FastRCNN
    from kedge.detectors.faster_rcnn import FasterRCNN as FasterRCNN
    from kedge.detectors.faster_rcnn_c4 import FasterRCNNC4 as FasterRCNNC4
    from kedge.detectors.fcos import FCOS as FCOS
    from kedge.detectors.found import Found as Found
    from kedge.detectors.ga_faster_rcnn import GAFasterRCNN as GAFasterRCNN
    from kedge.detectors.ga_retinanet import GARetinaNet as GARetinaNet
    from kedge.detectors.ga_rpn import GARPN as GARPN
    from kedge.detectors.gfl import GFL as GFL
    from kedge.detectors.gfl_tiny import GFLTiny as GFLTiny
    from kedge.detectors.keypoint import Keypoint as Keypoint
    from kedge.detectors.lada import LADA as LADA
    from kedge.detectors.metaanchor import MetaAnchor as MetaAnchor
    from kedge.detectors.on_proposals import OnProposals as OnProposals
    from kedge.detectors.paa import PAA as PAA
    from kedge.detectors.point_detector import PointDetector as PointDetector
    from kedge.detectors.rcnn import RCNN as RCNN
    from kedge.detectors.refinedet import RefineDet as RefineDet
    from kedge.detectors.retinanet import RetinaNet as RetinaNet
    from kedge.detectors.rfcn import RFCN as RFCN
    from kedge.detectors.rtmdet import RTMDet as RTMDet
    from kedge.detectors.sliding_window import SlidingWindowDetector as SlidingWindowDetector
    from kedge.detectors.ssd import SSD as SSD
    from kedge.detectors.ssdlite import SSDLite as SSDLite
    from kedge.detectors.stage import Outcome as Outcome
    from kedge.detectors.stage import Stage as Stage
    from kedge.detectors.tood import TOOD as TOOD
    from kedge.detectors.two_stage import TwoStage as TwoStage
    from kedge.detectors.vfnet import VFNet as VFNet
    from kedge.detectors.yolof import YOLOF as YOLOF
    from kedge.detectors.yolov1 import YOLOv1 as YOLOv1
    from kedge.detectors.yolov2 import YOLOv2 as YOLOv2
    from kedge.detectors.yolov3 import YOLOv3 as YOLOv3
    from kedge.detectors.yolox import YOLOX as YOLOX

DETECTORS = {
    "yolov1": "YOLOv1",
    "yolov2": "YOLOv2",
    "yolov3": "YOLOv3",
    "retinanet": "RetinaNet",
    "yolof": "YOLOF",
    "yolox": "YOLOX",
    "rtmdet": "RTMDet",
    "faster_rcnn": "FasterRCNN",
    "faster_rcnn_c4": "FasterRCNNC4",
    "cascade_rcnn": "CascadeRCNN",
    "rfcn": "RFCN",
    "fast_rcnn": "FastRCNN",
    "rcnn": "RCNN",
    "sliding_window": "SlidingWindowDetector",
    "fcos": "FCOS",
    "atss": "ATSS",
    "paa": "PAA",
    "gfl": "GFL",
    "gfl_tiny": "GFLTiny",
    "vfnet": "VFNet",
    "tood": "TOOD",
    "dual": "Dual",
    "autoassign": "AutoAssign",
    "dw": "DW",
    "lada": "LADA",
    "ssd": "SSD",
    "ssdlite": "SSDLite",
    "refinedet": "RefineDet",
    "ga_rpn": "GARPN",
    "ga_retinanet": "GARetinaNet",
    "ga_faster_rcnn": "GAFasterRCNN",
    "metaanchor": "MetaAnchor",
    "cornernet": "CornerNet",
    "extremenet": "ExtremeNet",
    "denet": "DeNet",
}
"""The detectors by name, which is also the name of the file: the one table of them."""

_PARTS = {
    "Dense": "dense",
    "Detector": "detector",
    "Found": "found",
    "Keypoint": "keypoint",
    "Maps": "dense",
    "OnProposals": "on_proposals",
    "Outcome": "stage",
    "PointDetector": "point_detector",
    "Stage": "stage",
    "TwoStage": "two_stage",
}


def detector_class(name: str) -> "Callable[..., Detector]":
    """The detector called ``name``; ``ValueError`` lists the names."""
    if name not in DETECTORS:
        raise ValueError(
            f"no detector {name!r}{near(name, DETECTORS)}; there are {', '.join(DETECTORS)}"
        )
    return getattr(import_module(f"{__name__}.{name}"), DETECTORS[name])


__getattr__ = lazily(__name__, _PARTS | {made: home for home, made in DETECTORS.items()})


def __dir__() -> list[str]:
    return sorted(["DETECTORS", "detector_class", *_PARTS, *DETECTORS.values()])
