"""Detectors, one file each: compositions of anchors, assigner, coder, layers and losses."""

from kedge.detectors.base import Detector
from kedge.detectors.box_terms import BoxOverlap, BoxTerm, CodeL1
from kedge.detectors.class_scores import ClassScores, Independent, Softmax
from kedge.detectors.retinanet import RetinaNet
from kedge.detectors.retinanet_loss import RetinaNetLoss, retinanet_loss
from kedge.detectors.select import Selection
from kedge.detectors.yolov2 import YOLOv2
from kedge.detectors.yolov2_loss import YOLOv2Loss, yolov2_loss

__all__ = [
    "BoxOverlap", "BoxTerm", "ClassScores", "CodeL1", "Detector", "Independent", "RetinaNet",
    "RetinaNetLoss", "Selection", "Softmax", "YOLOv2", "YOLOv2Loss", "retinanet_loss",
    "yolov2_loss",
]  # fmt: skip
