"""The strategies by name: the one table of them."""

from collections.abc import Callable

from kedge.assign.aligned_ota import AlignedOTA
from kedge.assign.atss import ATSS
from kedge.assign.auto_assign import AutoAssign
from kedge.assign.best_in_cell import BestInCell
from kedge.assign.best_prediction_in_cell import BestPredictionInCell
from kedge.assign.centre_region import CentreRegion
from kedge.assign.dw import DW
from kedge.assign.dynamic_soft_label import DynamicSoftLabel
from kedge.assign.fcos import FCOS
from kedge.assign.free_anchor import FreeAnchor
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
from kedge.parts import Spec, build
from kedge.types import Assigner

STRATEGIES: dict[str, Callable[[], Assigner]] = {
    "max_iou": MaxIoU,
    "size_iou": SizeIoU,
    "ssd": SSDMatch,
    "best_in_cell": BestInCell,
    "best_prediction_in_cell": BestPredictionInCell,
    "yolov3": YOLOv3,
    "yolov5": YOLOv5,
    "yolov7": YOLOv7,
    "fcos": FCOS,
    "centre_region": CentreRegion,
    "atss": ATSS,
    "uniform": Uniform,
    "rfla": RFLA,
    "ranked": Ranked,
    "paa": PAA,
    "free_anchor": FreeAnchor,
    "mal": MAL,
    "noisy_anchors": NoisyAnchors,
    "lada": LADA,
    "ota": OTA,
    "simota": SimOTA,
    "aligned_ota": AlignedOTA,
    "tal": TAL,
    "autoassign": AutoAssign,
    "dw": DW,
    "dynamic_soft_label": DynamicSoftLabel,
    "hungarian": Hungarian,
    "poto": POTO,
    "one_to_few": OneToFew,
    "soft_cell": SoftCell,
}


def strategy(spec: Spec) -> Assigner:
    """The strategy that ``spec`` means: ``"tal"``, ``"TAL"``, ``"tal:k=10,beta=4"``, ``{"name":
    "tal", "k": 10}``; ``ValueError`` lists the names, or the settings that it has."""
    return build(STRATEGIES, spec, "strategy")
