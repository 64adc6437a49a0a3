"""Losses: ``loss(inputs, targets, *, settings, reduction)`` with reduction "none", "sum" or "mean".

Functions when stateless, `nn.Module` when they keep running statistics. No positives give 0
connected to the graph, never NaN. At least float32. A normaliser such as the number of positives is
the caller's: ``focal_loss(..., reduction="sum") / max(1, len(assignment))``.
"""

from kedge.losses.auto_assign import auto_assign_loss
from kedge.losses.distribution import distribution_focal_loss
from kedge.losses.dw import dw_loss
from kedge.losses.focal import focal_loss
from kedge.losses.free_anchor import free_anchor_loss
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
from kedge.losses.mean_max import mean_max
from kedge.losses.quality import quality_focal_loss, varifocal_loss
from kedge.losses.smooth_l1 import balanced_l1_loss, smooth_l1_loss
from kedge.losses.targets import centreness_target, iou_target
from kedge.losses.wise_iou import WiseIoULoss

__all__ = [
    "GHMC",
    "GHMR",
    "WiseIoULoss",
    "alpha_iou_loss",
    "auto_assign_loss",
    "balanced_l1_loss",
    "bounded_iou_loss",
    "centreness_target",
    "ciou_loss",
    "diou_loss",
    "distribution_focal_loss",
    "dw_loss",
    "eiou_loss",
    "focal_loss",
    "free_anchor_loss",
    "giou_loss",
    "inner_iou_loss",
    "iou_loss",
    "iou_target",
    "mean_max",
    "nwd_loss",
    "quality_focal_loss",
    "siou_loss",
    "smooth_l1_loss",
    "varifocal_loss",
]
