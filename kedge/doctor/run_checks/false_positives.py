"""The loss falls, yet recall is low and false positives are many: which sort of error, and why."""

from typing import Any

import numpy as np

from kedge.doctor.anchor_checks.cures import design_command, predicted_coverage, worth_it
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent

_FALLEN = 0.7
_LOW = 0.5
_COVERED = 0.7


def check(context: Context) -> list[Finding]:
    """The loss fell to 70 % or less, while recall and precision (or AP50) stay below one half."""
    run = context.run
    if run is None:
        return []
    first, last = run.smooth("loss")
    if not (np.isfinite(first) and last < _FALLEN * first):
        return []
    numbers = _quality(context)
    if numbers is None or not numbers["poor"]:
        return []
    covered = None
    if context.setup is not None and len(context.fair):
        covered = float(context.answers.covered(context.setup.threshold).mean())
    cause, cure, predicted, why = _cause(context, covered, numbers)
    words = (
        f"recall {percent(numbers['recall'])}, precision {percent(numbers['precision'])} at score "
        f"{numbers['at_score']:g}"
        if "recall" in numbers
        else f"AP50 {numbers['AP50']:.3f}"
    )
    return [
        Finding(
            check="loss_falls_but_detections_fail",
            severity="error",
            symptom=f"The loss falls ({first:.3g} -> {last:.3g}), but {words}",
            evidence={
                "loss_first": first,
                "loss_last": last,
                "objects_covered_by_anchors": covered,
                **{k: v for k, v in numbers.items() if k != "poor"},
            },
            cause=cause,
            cure=cure,
            predicted=predicted,
            unpredicted=why,
        )
    ]


def _quality(context: Context) -> dict[str, Any] | None:
    probe, run = context.probe, context.run
    assert run is not None
    if probe is not None and len(probe.objects):
        wrong = sum(probe.errors.values())
        precision = probe.precision if probe.true_positives + wrong else 1.0
        poor = probe.recall < _LOW and (precision < _LOW or probe.true_positives == 0)
        return {
            "poor": poor,
            "recall": probe.recall,
            "precision": precision,
            "at_score": probe.score,
            "false_positives_per_image": wrong / max(1, probe.images),
            "false_positives": dict(probe.errors),
            "images": probe.images,
        }
    scores = dict(run.scores[-1]) if run.scores else {}
    scores |= {} if run.result is None else run.result.scores
    if scores.get("AP50") is None:
        return None
    return {"poor": scores["AP50"] < 0.25, "AP50": float(scores["AP50"])}


def _cause(
    context: Context, covered: float | None, numbers: dict[str, Any]
) -> tuple[str, str, dict[str, Any] | None, str]:
    if covered is not None and covered < _COVERED:
        predicted, why = predicted_coverage(context)
        if worth_it(predicted):
            return (
                f"The anchors do not fit: they cover {percent(covered)} of the objects. The rest "
                "is background to the classifier, so it learns to call objects background (low "
                "recall), and boxes that start from far off miss their objects (false positives). "
                "The loss falls all the same: background is easy.",
                design_command(context, context.designed),
                predicted,
                why,
            )
    errors = numbers.get("false_positives", {})
    main = max(errors, key=lambda name: errors[name]) if sum(errors.values()) else ""
    sorts = {
        "background": (
            "Most false positives touch no object. On images that were trained on, these are "
            "mostly objects that nobody labelled; otherwise the training is too short.",
            "Look at them: kedge predict RUN IMAGES --save seen/; label what is missing.",
        ),
        "badly placed": (
            "Most false positives touch an object but overlap it by less than 0.5: the boxes are "
            "not learned yet, or one-sided.",
            "Train longer; see the findings on regression targets and one-sided boxes.",
        ),
        "wrong class": (
            "Most false positives find the object but name another class.",
            "Look for labels that contradict each other; merge classes that nobody can tell apart.",
        ),
        "twice": (
            "Most false positives find an object a second time.",
            "A lower NMS threshold (Selection(nms=0.45)), or label near-duplicates once.",
        ),
    }
    fallback = (
        "The anchors cover the objects; the training is too short, or the classification loss is "
        "mostly background.",
        "Train longer: --epochs; see the finding on background.",
    )
    cause, cure = sorts.get(main, fallback)
    return cause, cure, None, "what is wrong is not the anchors: only a new run shows its effect"
