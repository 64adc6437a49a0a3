"""The strategies by name: the one table of them."""

from collections.abc import Callable
from typing import Any

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
from kedge.parts import Spec, build, convert, find, keywords, parse
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

# what a paper calls a rule of its own, and is another's with these settings
PUBLISHED = {
    "by_nwd": "max_iou:measure=nwd,positive=0.7,negative=0.3,low_quality=rescuer,"
    "min_low_quality=0.3",
    "by_simd": "max_iou:measure=simd,positive=0.7,negative=0.3,low_quality=rescuer,"
    "min_low_quality=0.3",
    "by_gcd": "max_iou:measure=gcd,positive=0.7,negative=0.3,low_quality=rescuer,"
    "min_low_quality=0.3",
    "nwd_rka": "ranked:measure=nwd",
}


def strategy(spec: Spec) -> Assigner:
    """The strategy that ``spec`` means: ``"tal"``, ``"TAL"``, ``"tal:k=10,beta=4"``, ``{"name":
    "tal", "k": 10}``; ``ValueError`` lists the names, or the settings that it has.

    Besides its own settings every strategy has ``guarantee``: `Guaranteed`. A name of `PUBLISHED`
    means those settings, which others may be added to.
    """
    name, settings = named(spec)
    guarantee = settings.pop("guarantee", False)
    made = build(STRATEGIES, {"name": name} | settings, "strategy")
    try:
        return Guaranteed(strategy=made) if convert(guarantee, bool) else made
    except ValueError as error:
        raise ValueError(f"strategy {name}: guarantee: {error}") from None


def said(rule: object) -> dict[str, Any] | None:
    """The name of a strategy and the settings that are not its defaults: what `strategy` makes it
    of. None for one that stands in no table."""
    if isinstance(rule, Guaranteed):
        found = said(rule.strategy)
        return found and found | {"guarantee": True}
    for name, make in STRATEGIES.items():
        if type(rule) is make:
            usual, fields = make(), {key: getattr(rule, key) for key in keywords(make)}
            return {"name": name} | {k: v for k, v in fields.items() if v != getattr(usual, k)}
    return None


def named(spec: Spec, what: str = "strategy") -> tuple[str, dict[str, Any]]:
    """Name, of `STRATEGIES`, and settings of a strategy; ``ValueError`` lists the names. ``what``:
    as errors of the settings call it."""
    name, settings = parse(spec, what)
    found = find(STRATEGIES | PUBLISHED, name, "strategy")
    if not isinstance(found, str):
        return name, settings
    name, usual = parse(found, "strategy")
    return name, usual | settings
