"""Which anchor answers for which object: one strategy per file, behind one contract."""

from kedge.assign.best_in_cell import BestInCell
from kedge.assign.max_iou import MaxIoU
from kedge.assign.soft_cell import SoftCell
from kedge.types import Assigner

__all__ = ["Assigner", "BestInCell", "MaxIoU", "SoftCell"]
