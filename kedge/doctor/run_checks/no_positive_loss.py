"""A box loss of nearly zero from the start, or hardly a positive in training."""

from typing import Any

import numpy as np

from kedge.doctor.anchor_checks.cures import design_command, predicted_coverage
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent
from kedge.doctor.records import RunRecords

_ZERO = 1e-3
_FEW = 0.1
_WELL = 0.5


def check(context: Context) -> list[Finding]:
    """The median box loss of the first tenth of the run is below a thousandth; or the run logged
    that fewer than a tenth of its objects had a positive."""
    run = context.run
    if run is None:
        return []
    _, values = run.series("loss_box")
    values = values[np.isfinite(values)]
    answered = run.share("answered", "objects")
    early = float(np.median(values[: max(1, len(values) // 10)])) if len(values) else None
    zero = float((values < _ZERO).mean()) if len(values) else 0.0
    few = answered is not None and answered < _FEW
    if not few and (early is None or (early >= _ZERO and zero < 0.5)):
        return []
    lost = None
    if context.setup is not None and len(context.fair):
        lost = float((context.answers.positives == 0).mean())
    cause, cure, predicted, why = _explain(context, run, lost, answered)
    return [
        Finding(
            check="zero_box_loss",
            severity="error",
            symptom=f"In training {percent(answered or 0)} of the objects had a positive anchor"
            if few
            else f"The loss of positives is next to zero from the start: {early:.2g} (box loss, "
            "median of the first tenth)",
            evidence={
                "early_box_loss": early,
                "share_of_rows_below_0.001": zero,
                "objects_without_a_positive": lost,
                "answered_in_training": answered,
                "positives_per_object_in_training": run.share("positives", "objects"),
                "objects": len(context.objects.fair),
            },
            cause=cause,
            cure=cure,
            predicted=predicted,
            unpredicted="" if predicted else why,
        )
    ]


def _explain(
    context: Context, run: RunRecords, lost: float | None, answered: float | None
) -> tuple[str, str, dict[str, Any] | None, str]:
    """Cause, cure, predicted effect, and why there is none."""
    again = f"kedge doctor --data {context.source} --run {run.folder}"
    nothing = "there are no objects or no anchors to compute with"
    if len(context.objects.fair) == 0:
        cause = "The data hold no object that counts: no boxes, or crowd regions only."
        return cause, again, None, nothing
    if lost is None:
        return "No anchor is positive, so there is no box to learn from.", again, None, nothing
    if lost > _WELL:
        cause = f"{percent(lost)} of the objects have no positive anchor with these anchors: "
        cause += "the assignment finds nothing to teach."
        predicted, why = predicted_coverage(context)
        return cause, design_command(context, context.designed), predicted, why
    cause = f"The anchors are not it: with them {percent(1 - lost)} of these objects have a "
    cause += f"positive. {_in_training(run, answered)}"
    return cause, again, None, "the anchors need no change"


def _in_training(run: RunRecords, answered: float | None) -> str:
    if not any("objects" in row for row in run.metrics):
        return (
            "Either the training saw other data (another split, empty labels, boxes that a "
            "transform removed), or the weight of the box loss is nearly zero."
        )
    if answered is None:
        return "The training saw no object: empty labels, or boxes that a transform removed."
    if answered < _WELL:
        return (
            f"In training {percent(answered)} had one: it saw other data (another split, other "
            "labels), or it started from other anchors."
        )
    return f"In training {percent(answered)} had one, too: the weight of the box loss is too small."
