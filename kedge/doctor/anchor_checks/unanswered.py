"""Objects without any positive, and why not."""

import numpy as np
from numpy.typing import NDArray

from kedge.anchors.measures import name_of
from kedge.assign.max_iou import MaxIoU
from kedge.doctor.anchor_checks.groups import by_band, by_class, severity_of
from kedge.doctor.anchor_checks.options import Option, as_cure, guaranteed, options, worthwhile
from kedge.doctor.answers import alone, answer
from kedge.doctor.context import Context
from kedge.doctor.counting import takes_others
from kedge.doctor.finding import Finding, count, percent
from kedge.doctor.objects import most_affected


def check(context: Context) -> list[Finding]:
    """No positive at all: the loss does not teach these objects."""
    setup = context.setup
    if setup is None or len(context.fair) == 0:
        return []
    answers = context.answers
    lost = answers.positives == 0
    share = float(lost.mean())
    if share == 0:
        return []
    reasons = _why_none(context, lost)
    tried = worthwhile(share, options(context), _without_positive)
    tried += worthwhile(share, guaranteed(setup, context.sample), _without_positive)
    cure, predicted = (
        as_cure(share, tried, "without a positive anchor")
        if tried
        else ("Nothing that was tried helps: another rule, a finer level, a larger input.", None)
    )
    many = f"{lost.sum():,} of {count(len(lost), 'object')} ({percent(share)})"
    verb, whose = ("has", "its") if lost.sum() == 1 else ("have", "their")
    own = f" of {whose} own" if takes_others(setup.base) else ""
    found = Finding(
        check="no_positive",
        severity=severity_of(share, 0.02, 0.1),
        symptom=f"{many} {verb} no anchor{own} that {type(setup.base).__name__} could choose"
        if setup.by_predictions
        else f"{many} {verb} no positive anchor: the loss does not teach them",
        evidence={
            **context.note_of_sample(),
            "share": share,
            "objects_without": int(lost.sum()),
            "because": reasons,
            "by_class": by_class(context, lost),
            "by_size": by_band(context, lost),
            "worst_images": most_affected(context.sample_names, context.fair.image[lost]),
        },
        cause=" ".join(f"{number:,} {words}." for words, number in reasons.items()),
        cure=cure,
        predicted=predicted,
        unpredicted="" if tried else "none of them leaves clearly fewer objects without an anchor",
    )
    return [found]


def _without_positive(option: Option) -> float:
    return float((answer(option.setup, option.objects).positives == 0).mean())


def _why_none(context: Context, lost: NDArray[np.bool_]) -> dict[str, int]:
    """Reasons why objects have no positive, with their numbers: rivals, or the rule itself."""
    setup, best = context.setup, context.answers.best[lost]
    assert setup is not None
    lone, inside = alone(setup, context.fair.xyxy[lost])
    rule = setup.base
    if isinstance(rule, MaxIoU):
        short = f"have no anchor with {name_of(rule.measure)} >= {rule.positive:g}"
        masks = {
            "touch no anchor at all": ~lone & (best == 0),
            f"{short}, and the rule rescues none for them": ~lone & (best > 0),
        }
    else:
        masks = {
            "have no anchor's centre inside": ~lone & ~inside,
            f"lie around anchors that {type(rule).__name__} does not take for their size": (
                ~lone & inside
            ),
        }
    ignored = lone & _answered_without_crowds(context)[lost]
    masks["lose their anchors to crowds, around which nothing is taught"] = ignored
    masks["lose their anchors to other objects; alone they would have some"] = lone & ~ignored
    return {words: int(mask.sum()) for words, mask in masks.items() if mask.any()}


def _answered_without_crowds(context: Context) -> NDArray[np.bool_]:
    """(n,) objects that would have a positive if no region were to be ignored."""
    setup = context.setup
    assert setup is not None
    if not context.sample.crowd.any():
        return np.zeros(len(context.fair), bool)
    return answer(setup, context.fair).positives > 0
