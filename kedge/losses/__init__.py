"""Losses: functions and modules of numbers, and how a detector joins them.

``loss(inputs, targets, *, settings, reduction)`` with reduction "none", "sum" or "mean": functions
when stateless, `nn.Module` when they keep running statistics. No positives give 0 connected to the
graph, never NaN. At least float32.

``DenseLoss(classes=Focal(), box=CodeL1())`` puts such losses together for a detector: on any
assignment, with any sampler.
"""

from kedge.losses.auto_assign import auto_assign_loss
from kedge.losses.box_terms import (
    BalancedL1,
    BoxOverlap,
    BoxTerm,
    CodeL1,
    CodeSquares,
    Distribution,
    HarmonisedCodes,
)
from kedge.losses.cell_codes import CellCodes
from kedge.losses.class_terms import (
    ClassTerm,
    CrossEntropy,
    Focal,
    Harmonised,
    QualityFocal,
    SoftmaxCrossEntropy,
    Squares,
    Varifocal,
)
from kedge.losses.codes import codes_of_pairs
from kedge.losses.corner import gaussian_focal_loss, heat_loss, offset_loss, pull_push_loss
from kedge.losses.dense import DenseLoss
from kedge.losses.distribution import distribution_focal_loss
from kedge.losses.dw import dw_loss
from kedge.losses.first_box import FirstBox
from kedge.losses.focal import focal_loss
from kedge.losses.free_anchor import free_anchor_loss
from kedge.losses.generalized_focal import generalized_focal_loss
from kedge.losses.ghm import GHMC, GHMR
from kedge.losses.iou import (
    ciou_loss,
    diou_loss,
    eiou_loss,
    giou_loss,
    iou_loss,
    nwd_loss,
    siou_loss,
)
from kedge.losses.iou_variants import alpha_iou_loss, bounded_iou_loss, inner_iou_loss
from kedge.losses.loss import Loss, Losses
from kedge.losses.mean_max import mean_max
from kedge.losses.normalise import (
    per_element,
    per_image,
    per_positive,
    per_quality,
    per_sampled,
)
from kedge.losses.objectness import Objectness
from kedge.losses.quality import quality_focal_loss, varifocal_loss
from kedge.losses.quality_terms import (
    Centreness,
    PredictedIoU,
    QualityTerm,
    by_centreness,
    by_iou,
    by_quality,
    by_score,
)
from kedge.losses.sampled import multibox_loss, sampled_loss
from kedge.losses.smooth_l1 import balanced_l1_loss, smooth_l1_loss
from kedge.losses.targets import centreness_target, iou_target
from kedge.losses.wise_iou import WiseIoULoss
from kedge.losses.yolov2 import AnchorPull, yolov2_loss

__all__ = [
    "GHMC",
    "GHMR",
    "AnchorPull",
    "BalancedL1",
    "BoxOverlap",
    "BoxTerm",
    "CellCodes",
    "Centreness",
    "ClassTerm",
    "CodeL1",
    "CodeSquares",
    "CrossEntropy",
    "DenseLoss",
    "Distribution",
    "FirstBox",
    "Focal",
    "Harmonised",
    "HarmonisedCodes",
    "Loss",
    "Losses",
    "Objectness",
    "PredictedIoU",
    "QualityFocal",
    "QualityTerm",
    "SoftmaxCrossEntropy",
    "Squares",
    "Varifocal",
    "WiseIoULoss",
    "alpha_iou_loss",
    "auto_assign_loss",
    "balanced_l1_loss",
    "bounded_iou_loss",
    "by_centreness",
    "by_iou",
    "by_quality",
    "by_score",
    "centreness_target",
    "ciou_loss",
    "codes_of_pairs",
    "diou_loss",
    "distribution_focal_loss",
    "dw_loss",
    "eiou_loss",
    "focal_loss",
    "free_anchor_loss",
    "gaussian_focal_loss",
    "generalized_focal_loss",
    "giou_loss",
    "heat_loss",
    "inner_iou_loss",
    "iou_loss",
    "iou_target",
    "mean_max",
    "multibox_loss",
    "nwd_loss",
    "offset_loss",
    "per_element",
    "per_image",
    "per_positive",
    "per_quality",
    "per_sampled",
    "pull_push_loss",
    "quality_focal_loss",
    "sampled_loss",
    "siou_loss",
    "smooth_l1_loss",
    "varifocal_loss",
    "yolov2_loss",
]
