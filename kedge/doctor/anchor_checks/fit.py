"""How well the best anchor fits: the distribution of best IoU over the objects."""

import numpy as np

from kedge.doctor.anchor_checks.cures import design_command, predicted_coverage, worth_it
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding

_POOR = 0.5


def check(context: Context) -> list[Finding]:
    """A note with the distribution; a warning where the mean is below 0.5."""
    if context.setup is None or len(context.fair) == 0:
        return []
    answers = context.answers
    mean = float(answers.best.mean())
    deciles = np.percentile(answers.best, range(0, 101, 10)).tolist()
    poor = mean < _POOR
    predicted, why = predicted_coverage(context) if poor else (None, "the fit is not poor")
    gains = worth_it(predicted)
    return [
        Finding(
            check="best_iou",
            severity="warning" if poor and gains else "note",
            symptom=f"Mean best IoU {answers.aligned.mean():.3f} with centres moved together"
            + (f", {mean:.3f} on the grid" if context.setup.thresholded else ""),
            evidence={
                **context.note_of_sample(),
                "mean": mean,
                "mean_centres_aligned": float(answers.aligned.mean()),
                "deciles": deciles,
                "share_at_least": {
                    f"{t:g}": float((answers.best >= t).mean()) for t in (0.3, 0.4, 0.5, 0.6, 0.7)
                },
            },
            cause=_cause(context, poor, gains),
            cure=design_command(context, context.designed)
            if gains
            else "Finer cells or more shapes; as many designed ones fit no better."
            if poor
            else "Nothing to do.",
            predicted=predicted,
            unpredicted=why,
        )
    ]


def _cause(context: Context, poor: bool, gains: bool) -> str:
    setup = context.setup
    assert setup is not None
    if gains:
        return "The shapes do not resemble the objects."
    if poor and setup.thresholded:
        return "Objects are small against the distance of the cells, or of too many shapes."
    if poor:
        return "The objects are of more shapes than these few can stand for."
    if setup.thresholded:
        return "The difference between the two numbers is what the distance of the cells costs."
    return "This strategy compares shapes alone: the cell of the centre is given."
