"""The rule and the coder of an MMDetection head, in Kedge's words."""

import math
from collections.abc import Callable
from typing import Any

from kedge.assign.dynamic_soft_label import DynamicSoftLabel
from kedge.assign.fcos import FCOS
from kedge.assign.sim_ota import SimOTA
from kedge.assign.tal import TAL
from kedge.assign.uniform import Uniform
from kedge.coders import Coder, DeltaCoder, DistributionCoder, LTRBCoder
from kedge.coders.delta import LOG_LIMIT
from kedge.interop.mmdetection.matching import rule_of
from kedge.types import Assigner

_DELTA = ("RetinaHead", "RetinaSepBNHead", "RPNHead", "SSDHead", "ATSSHead", "YOLOFHead")
_POINTS = ("FCOSHead", "YOLOXHead", "RTMDetHead", "RTMDetSepBNHead", "GFLHead", "TOODHead")
HEADS = (*_DELTA, *_POINTS)  # those whose assigner, or themselves, alone choose the positives


def rule_of_head(head: Any) -> Assigner:
    """What chooses the positives of ``head``; of TOOD after its first epochs.

    Errors: ``ValueError`` for other heads and assigners, and where ``train_cfg`` is missing.
    """
    kind = type(head).__name__
    if kind not in HEADS:
        raise ValueError(f"{kind} is not understood: known are {', '.join(HEADS)}")
    if kind == "FCOSHead":
        return _fcos(head)
    assigner = getattr(head, "alignment_assigner", getattr(head, "assigner", None))
    if assigner is None:
        raise ValueError(f"{kind} has no assigner: its configuration lacks train_cfg")
    name = type(assigner).__name__
    if type(getattr(assigner, "iou_calculator", None)).__name__ != "BboxOverlaps2D":
        raise ValueError(f"{name} of {kind} has an iou_calculator that is not understood")
    make = _RULES.get(name)
    rule = make(assigner, head) if make is not None else None
    if rule is None:
        raise ValueError(
            f"{name} of {kind} is not understood as it is set: known are {', '.join(_RULES)}"
        )
    return rule


_RULES: dict[str, Callable[[Any, Any], Assigner | None]] = {
    "MaxIoUAssigner": lambda a, head: rule_of(a),
    "ATSSAssigner": lambda a, head: rule_of(a) if _one_shape(head) else None,
    "TaskAlignedAssigner": lambda a, head: TAL(k=a.topk, alpha=head.alpha, beta=head.beta),
    "SimOTAAssigner": lambda a, head: SimOTA(
        k=a.candidate_topk,
        radius=a.center_radius,
        class_weight=a.cls_weight,
        iou_weight=a.iou_weight,
    ),
    "DynamicSoftLabelAssigner": lambda a, head: DynamicSoftLabel(
        k=a.topk, iou_weight=a.iou_weight, soft_centre_radius=a.soft_center_radius
    ),
    "UniformAssigner": lambda a, head: Uniform(
        k=a.match_times, min_iou=a.pos_ignore_thr, ignore_above=a.neg_ignore_thr
    ),
}


def _one_shape(head: Any) -> bool:
    """Whether a cell has one anchor: MMDetection's ATSS counts anchors, Kedge's counts cells."""
    return set(head.prior_generator.num_base_priors) == {1}


def _fcos(head: Any) -> FCOS:
    ranges = [(max(low, 0), high if high < 1e8 else math.inf) for low, high in head.regress_ranges]
    radius = head.center_sample_radius if head.center_sampling else None
    return FCOS(ranges=tuple(ranges), centre_radius=radius)


def coder_of_head(head: Any) -> Coder:
    """How ``head`` writes boxes; ``ValueError`` for a coder that is not understood."""
    kind = type(head).__name__
    if kind == "YOLOXHead":  # from the cell's corner, where the rule's point is its middle
        return DeltaCoder(means=(-0.5, -0.5, 0.0, 0.0))
    if kind == "GFLHead":
        return DistributionCoder(reg_max=head.reg_max)
    if kind == "TOODHead" and head.anchor_type == "anchor_free":
        return LTRBCoder(activation="none")
    if kind == "FCOSHead":
        normalise = bool(head.norm_on_bbox)
        return LTRBCoder(normalise=normalise, activation="relu" if normalise else "exp")
    if kind.startswith("RTMDet"):
        return LTRBCoder(activation="exp" if getattr(head, "exp_on_reg", True) else "none")
    peer = head.bbox_coder
    if type(peer).__name__ != "DeltaXYWHBBoxCoder":
        raise ValueError(
            f"{type(peer).__name__} of {kind} is not understood: DeltaXYWHBBoxCoder is"
        )
    return DeltaCoder(
        means=tuple(peer.means),
        stds=tuple(peer.stds),
        clamp=(-LOG_LIMIT, LOG_LIMIT),
        centre_clamp=float(peer.ctr_clamp) if peer.add_ctr_clamp else None,
    )
