"""The terms of losses by name, one table of each kind, and losses from settings."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from kedge.losses import iou, iou_variants
from kedge.losses.box_terms import (
    BalancedL1,
    BoxOverlap,
    BoxTerm,
    CodeL1,
    CodeSquares,
    Distribution,
    HarmonisedCodes,
)
from kedge.losses.cell_codes import CellCodes
from kedge.losses.class_terms import (
    ClassTerm,
    CrossEntropy,
    Focal,
    Harmonised,
    QualityFocal,
    SoftmaxCrossEntropy,
    Squares,
    Varifocal,
)
from kedge.losses.dense import DenseLoss, Normalise
from kedge.losses.normalise import (
    per_element,
    per_image,
    per_positive,
    per_quality,
    per_sampled,
)
from kedge.losses.objectness import cross_entropy, linear, squared
from kedge.losses.quality_terms import (
    Centreness,
    PredictedIoU,
    QualityTerm,
    by_centreness,
    by_iou,
    by_quality,
    by_score,
)
from kedge.losses.wise_iou import WiseIoULoss
from kedge.parts import (
    Spec,
    build,
    checked,
    convert,
    find,
    keywords,
    near,
    parse,
    says_none,
)

CLASS_TERMS: dict[str, Callable[..., ClassTerm]] = {
    "focal": Focal,
    "cross_entropy": CrossEntropy,
    "quality_focal": QualityFocal,
    "varifocal": Varifocal,
    "ghm": Harmonised,
    "softmax": SoftmaxCrossEntropy,
    "squares": Squares,
}
QUALITY_TERMS: dict[str, Callable[..., QualityTerm]] = {
    "centreness": Centreness,
    "iou": PredictedIoU,
}
_OVERLAPS: dict[str, Callable[..., Any]] = {
    "iou": iou.iou_loss,
    "giou": iou.giou_loss,
    "diou": iou.diou_loss,
    "ciou": iou.ciou_loss,
    "eiou": iou.eiou_loss,
    "siou": iou.siou_loss,
    "nwd": iou.nwd_loss,
    "alpha_iou": iou_variants.alpha_iou_loss,
    "inner_iou": iou_variants.inner_iou_loss,
    "bounded_iou": iou_variants.bounded_iou_loss,
}
_NORMALISE: dict[str, Normalise] = {
    "positive": per_positive,
    "quality": per_quality,
    "image": per_image,
    "sampled": per_sampled,
    "element": per_element,
}
_WEIGHTS = {
    "centreness": by_centreness,
    "iou": by_iou,
    "quality": by_quality,
    "score": by_score,
}


def _wise(*, version: int = 3, gamma: float = 0.5, alpha: float = 1.7, delta: float = 2.7,
          momentum: float = 0.01) -> BoxTerm:  # fmt: skip
    kind = keywords(WiseIoULoss)["version"]
    return BoxOverlap(
        WiseIoULoss(
            version=convert(version, kind), gamma=gamma, alpha=alpha, delta=delta,
            momentum=momentum, reduction="none",
        )
    )  # fmt: skip


def _distribution(*, weight: float = 0.25, overlap_weight: float = 2.0) -> BoxTerm:
    return Distribution(BoxOverlap(), weight=weight, overlap_weight=overlap_weight)


BOX_TERMS: dict[str, Callable[..., BoxTerm]] = {
    "l1": CodeL1,
    "balanced_l1": BalancedL1,
    "squares": CodeSquares,
    "cell": CellCodes,
    "ghm": HarmonisedCodes,
    "distribution": _distribution,
    "wise_iou": _wise,
}


def box_term(spec: Spec) -> BoxTerm:
    """A box term by name: one of ``BOX_TERMS``, or a loss of the IoU family with its settings."""
    name, settings = parse(spec, "box")
    loss = _OVERLAPS.get(name.lower().replace("-", "_"))
    if loss is None:
        every = BOX_TERMS | dict.fromkeys(_OVERLAPS, BoxOverlap)
        return build(every, spec, "box loss")
    values = checked(loss, settings, f"box {name}", without=["reduction"])
    return BoxOverlap(partial(loss, **values) if values else loss)


_PLAIN = ("rescore", "per_object", "class_weight", "box_weight", "quality_weight")
_OBJECTNESS = {
    "objectness": "confidence",
    "objectness_rescore": "rescore",
    "objectness_weight": "positive",
    "background_weight": "background",
}
_CONFIDENCE = {"squared": squared, "cross_entropy": cross_entropy}


def change_loss_(loss: DenseLoss, settings: Mapping[str, Any]) -> None:
    """Puts other terms into ``loss``: ``{"classes": "focal", "box": {"name": "giou"}}``.

    Keys: ``classes``, ``box``, ``quality``, ``weigh_boxes``, ``rescore``, ``per_object``,
    ``normalise`` ("element" is ``per_element``), ``class_normalise`` and the weights of the terms;
    where there is objectness also ``objectness`` ("squared", "cross_entropy"),
    ``objectness_rescore``, whether its goal is the IoU of the predicted box, ``objectness_weight``
    and ``background_weight``. Raises ``ValueError`` for another key or a value that does not fit.
    """
    for key, value in settings.items():
        if key == "classes":
            loss.classes = build(CLASS_TERMS, value, "classes")
        elif key == "box":
            loss.box = box_term(value)
        elif key == "quality":
            loss.quality = None if says_none(value) else build(QUALITY_TERMS, value, "quality")
        elif key == "weigh_boxes":
            loss.weigh_boxes = None if says_none(value) else find(_WEIGHTS, value, "weigh_boxes")
        elif key == "normalise":
            loss.normalise = find(_NORMALISE, value, key)
        elif key == "class_normalise":
            loss.class_normalise = None if says_none(value) else find(_NORMALISE, value, key)
        elif key in _PLAIN:
            setattr(loss, key, checked(DenseLoss, {key: value}, "loss")[key])
        elif key in _OBJECTNESS and loss.objectness is not None:
            if key == "objectness" and loss.objectness.confidence is linear:
                raise ValueError("loss: this detector says its confidence itself, not as a logit")
            loss.objectness = replace(loss.objectness, **{_OBJECTNESS[key]: _part(key, value)})
        else:
            extra = () if loss.objectness is None else tuple(_OBJECTNESS)
            terms = ("classes", "box", "quality", "weigh_boxes", "normalise", "class_normalise")
            known = (*terms, *_PLAIN, *extra)
            raise ValueError(
                f"loss: unknown setting {key!r}{near(key, known)} (it has {', '.join(known)})"
            )


def _part(key: str, value: Any) -> Any:
    """A setting of ``Objectness``."""
    if key == "objectness":
        return find(_CONFIDENCE, value, key)
    return convert(value, bool if key == "objectness_rescore" else float)
