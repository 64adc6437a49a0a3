"""Which anchor answers for which object: one strategy per file, behind one contract."""

from kedge.assign.atss import ATSS
from kedge.assign.best_in_cell import BestInCell
from kedge.assign.centre_region import CentreRegion
from kedge.assign.fcos import FCOS
from kedge.assign.max_iou import MaxIoU
from kedge.assign.rfla import RFLA
from kedge.assign.soft_cell import SoftCell
from kedge.assign.ssd_match import SSDMatch
from kedge.assign.uniform import Uniform
from kedge.assign.yolov3 import YOLOv3
from kedge.assign.yolov5 import YOLOv5
from kedge.types import Assigner

__all__ = [
    "ATSS",
    "FCOS",
    "RFLA",
    "Assigner",
    "BestInCell",
    "CentreRegion",
    "MaxIoU",
    "SSDMatch",
    "SoftCell",
    "Uniform",
    "YOLOv3",
    "YOLOv5",
]
