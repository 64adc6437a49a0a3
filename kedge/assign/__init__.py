"""Which anchor answers for which object: one strategy per file, behind one contract."""

from kedge.assign.aligned_ota import AlignedOTA
from kedge.assign.assignment_report import Report, report
from kedge.assign.atss import ATSS
from kedge.assign.auto_assign import AutoAssign
from kedge.assign.best_in_cell import BestInCell
from kedge.assign.best_prediction_in_cell import BestPredictionInCell
from kedge.assign.centre_region import CentreRegion
from kedge.assign.dw import DW
from kedge.assign.dynamic_soft_label import DynamicSoftLabel
from kedge.assign.fcos import FCOS
from kedge.assign.free_anchor import FreeAnchor
from kedge.assign.guaranteed import Guaranteed
from kedge.assign.hungarian import Hungarian
from kedge.assign.lada import LADA
from kedge.assign.mal import MAL
from kedge.assign.max_iou import MaxIoU
from kedge.assign.noisy_anchors import NoisyAnchors
from kedge.assign.one_to_few import OneToFew
from kedge.assign.ota import OTA
from kedge.assign.paa import PAA
from kedge.assign.poto import POTO
from kedge.assign.ranked import Ranked
from kedge.assign.rfla import RFLA
from kedge.assign.sim_ota import SimOTA
from kedge.assign.size_iou import SizeIoU
from kedge.assign.soft_cell import SoftCell
from kedge.assign.ssd_match import SSDMatch
from kedge.assign.tal import TAL
from kedge.assign.uniform import Uniform
from kedge.assign.yolov3 import YOLOv3
from kedge.assign.yolov5 import YOLOv5
from kedge.assign.yolov7 import YOLOv7
from kedge.types import Assigner

__all__ = [
    "ATSS",
    "DW",
    "FCOS",
    "LADA",
    "MAL",
    "OTA",
    "PAA",
    "POTO",
    "RFLA",
    "TAL",
    "AlignedOTA",
    "Assigner",
    "AutoAssign",
    "BestInCell",
    "BestPredictionInCell",
    "CentreRegion",
    "DynamicSoftLabel",
    "FreeAnchor",
    "Guaranteed",
    "Hungarian",
    "MaxIoU",
    "NoisyAnchors",
    "OneToFew",
    "Ranked",
    "Report",
    "SSDMatch",
    "SimOTA",
    "SizeIoU",
    "SoftCell",
    "Uniform",
    "YOLOv3",
    "YOLOv5",
    "YOLOv7",
    "report",
]
