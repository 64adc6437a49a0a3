"""What comes after the head: from scores to detections, and the removal of duplicates."""

from kedge.select.fusion import weighted_box_fusion
from kedge.select.nms import diou_nms, matrix_nms, nms, soft_nms
from kedge.select.peaks import Peaks, peaks
from kedge.select.selection import Selection
from kedge.select.suppress import NMS, DIoUNMS, Fusion, KeepAll, MatrixNMS, SoftNMS, Suppression
from kedge.select.vote import ScoreVoting, score_voting

__all__ = [
    "NMS",
    "DIoUNMS",
    "Fusion",
    "KeepAll",
    "MatrixNMS",
    "Peaks",
    "ScoreVoting",
    "Selection",
    "SoftNMS",
    "Suppression",
    "diou_nms",
    "matrix_nms",
    "nms",
    "peaks",
    "score_voting",
    "soft_nms",
    "weighted_box_fusion",
]
