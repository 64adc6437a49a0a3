"""Metrics: COCO and VOC average precision, proposal recall, anchor fit, and foreign detectors'
results.
"""

from kedge.evaluate.anchor_fit import (
    RatioFit,
    Utilisation,
    best_iou,
    bpr,
    mean_best_iou,
    shape_iou,
    utilisation,
)
from kedge.evaluate.coco import CocoAccumulator, coco_metrics
from kedge.evaluate.proposals import proposal_recall
from kedge.evaluate.results import (
    Result,
    image_places,
    judge,
    read_results,
    to_results,
    write_results,
)
from kedge.evaluate.voc import average_precision, voc_metrics

__all__ = [
    "CocoAccumulator",
    "RatioFit",
    "Result",
    "Utilisation",
    "average_precision",
    "best_iou",
    "bpr",
    "coco_metrics",
    "image_places",
    "judge",
    "mean_best_iou",
    "proposal_recall",
    "read_results",
    "shape_iou",
    "to_results",
    "utilisation",
    "voc_metrics",
    "write_results",
]
