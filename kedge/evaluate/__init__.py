"""Metrics: COCO and VOC average precision, proposal recall, anchor fit, and foreign detectors'
results (``judge``).
"""

from kedge.evaluate.anchor_fit import RatioFit, best_iou, bpr, mean_best_iou
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
    "average_precision",
    "best_iou",
    "bpr",
    "coco_metrics",
    "image_places",
    "judge",
    "mean_best_iou",
    "proposal_recall",
    "read_results",
    "to_results",
    "voc_metrics",
    "write_results",
]
