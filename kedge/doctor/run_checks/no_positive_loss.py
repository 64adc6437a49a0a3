"""A box loss of nearly zero from the start: nothing is positive."""

import numpy as np

from kedge.doctor.anchor_checks.cures import design_command, predicted_coverage
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent

_ZERO = 1e-3
_WELL = 0.5


def check(context: Context) -> list[Finding]:
    """The median box loss of the first tenth of the run is below a thousandth."""
    run = context.run
    if run is None:
        return []
    _, values = run.series("loss_box")
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return []
    early = float(np.median(values[: max(1, len(values) // 10)]))
    zero = float((values < _ZERO).mean())
    if early >= _ZERO and zero < 0.5:
        return []
    positives = None
    if context.setup is not None and len(context.fair):
        positives = float((context.answers.positives == 0).mean())
    cause = "No anchor is positive, so there is no box to learn from."
    predicted, why = None, "there are no objects or no anchors to compute with"
    cure = f"kedge doctor --data {context.source} --run {run.folder}"
    if len(context.objects.fair) == 0:
        cause = "The data hold no object that counts: no boxes, or crowd regions only."
    elif positives is not None and positives > _WELL:
        cause = f"{percent(positives)} of the objects have no positive anchor with these anchors: "
        cause += "the assignment finds nothing to teach."
        predicted, why = predicted_coverage(context)
        cure = design_command(context, context.designed)
    elif positives is not None:
        cause = (
            f"The anchors are not it: with them {percent(1 - positives)} of these objects have a "
            "positive. Either the training saw other data (another split, empty labels, boxes that "
            "a transform removed), or the weight of the box loss is nearly zero."
        )
        why = "the anchors need no change"
    return [
        Finding(
            check="zero_box_loss",
            severity="error",
            symptom=f"The loss of positives is next to zero from the start: {early:.2g} (box loss, "
            "median of the first tenth)",
            evidence={
                "early_box_loss": early,
                "share_of_rows_below_0.001": zero,
                "objects_without_a_positive": positives,
                "objects": len(context.objects.fair),
            },
            cause=cause,
            cure=cure,
            predicted=predicted,
            unpredicted="" if predicted else why,
        )
    ]
