"""The coders by name: the one table of them."""

from collections.abc import Callable

from kedge.coders.cell import YOLOv2Coder, YOLOv5Coder
from kedge.coders.delta import DeltaCoder
from kedge.coders.distribution import DistributionCoder
from kedge.coders.ltrb import LTRBCoder, TBLRCoder
from kedge.coders.root import RootCoder
from kedge.types import Coder

CODERS: dict[str, Callable[..., Coder]] = {
    "delta": DeltaCoder,
    "ltrb": LTRBCoder,
    "tblr": TBLRCoder,
    "distribution": DistributionCoder,
    "root": RootCoder,
    "yolov2": YOLOv2Coder,
    "yolov5": YOLOv5Coder,
}
