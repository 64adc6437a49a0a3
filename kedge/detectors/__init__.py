"""Detectors, one file each: compositions of anchors, assigner, coder, layers and losses."""

from kedge.detectors.base import Detector
from kedge.detectors.retinanet import RetinaNet
from kedge.detectors.yolov2 import YOLOv2
from kedge.losses.box_terms import BoxOverlap, BoxTerm, CodeL1
from kedge.losses.class_scores import ClassScores, Independent, Softmax
from kedge.losses.retinanet import RetinaNetLoss, retinanet_loss
from kedge.losses.yolov2 import YOLOv2Loss, yolov2_loss
from kedge.select.selection import Selection

__all__ = [
    "BoxOverlap", "BoxTerm", "ClassScores", "CodeL1", "Detector", "Independent", "RetinaNet",
    "RetinaNetLoss", "Selection", "Softmax", "YOLOv2", "YOLOv2Loss", "retinanet_loss",
    "yolov2_loss",
]  # fmt: skip
