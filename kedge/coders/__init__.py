"""How a box is written relative to its anchor. `Coder` is the contract."""

from kedge.coders.cell import YOLOv2Coder, YOLOv3Coder, YOLOv5Coder
from kedge.coders.delta import DeltaCoder
from kedge.coders.distribution import DistributionCoder
from kedge.coders.fixed import Fixed
from kedge.coders.ltrb import LTRBCoder, TBLRCoder
from kedge.coders.root import RootCoder
from kedge.types import Coder

__all__ = [
    "Coder",
    "DeltaCoder",
    "DistributionCoder",
    "Fixed",
    "LTRBCoder",
    "RootCoder",
    "TBLRCoder",
    "YOLOv2Coder",
    "YOLOv3Coder",
    "YOLOv5Coder",
]
