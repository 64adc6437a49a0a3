"""How well the best anchor fits: the distribution of best IoU over the objects."""

import numpy as np

from kedge.doctor.anchor_checks.cures import design_command, predicted_coverage, worth_it
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding
from kedge.doctor.size_and_form import size_and_form

_POOR = 0.5
_ALIKE = 0.02


def check(context: Context) -> list[Finding]:
    """A note with the distribution, and whether size or form costs more; a warning where the mean
    is below 0.5 and designed shapes do better."""
    setup = context.setup
    if setup is None or setup.points or len(context.fair) == 0:
        return []
    answers = context.answers
    mean = float(answers.best.mean())
    deciles = np.percentile(answers.best, range(0, 101, 10)).tolist()
    poor = mean < _POOR
    predicted, why = predicted_coverage(context) if poor else (None, "the fit is not poor")
    gains = worth_it(predicted)
    area, form = (m.mean() for m in size_and_form(context.fair.wh, setup.grid.shapes.numpy()))
    return [
        Finding(
            check="best_iou",
            severity="warning" if poor and gains else "note",
            symptom=f"Mean best IoU {answers.aligned.mean():.3f} with centres moved together"
            + (f", {mean:.3f} on the grid" if setup.thresholded else ""),
            evidence={
                **context.note_of_sample(),
                "mean": mean,
                "mean_centres_aligned": float(answers.aligned.mean()),
                "mean_if_only_sizes_differed": float(area),
                "mean_if_only_aspect_ratios_differed": float(form),
                "deciles": deciles,
                "share_at_least": {
                    f"{t:g}": float((answers.best >= t).mean()) for t in (0.3, 0.4, 0.5, 0.6, 0.7)
                },
            },
            cause=_cause(context, float(area), float(form)),
            cure=design_command(context, context.designed)
            if gains
            else "As many designed shapes fit no better: see poorly_covered."
            if poor
            else "Nothing to do.",
            predicted=predicted if gains else None,
            unpredicted=why or "designed shapes gain too little",
        )
    ]


def _cause(context: Context, area: float, form: float) -> str:
    """What the misfit is made of."""
    setup, answers = context.setup, context.answers
    assert setup is not None
    first, second = ("Size", "aspect ratio") if area < form else ("Aspect ratio", "size")
    more = "costs more than" if abs(area - form) > _ALIKE else "costs about as much as"
    text = f"{first} {more} {second}: the mean would be {area:.3f} if objects and anchors differed "
    text += f"in size alone, {form:.3f} if in aspect ratio alone."
    if setup.thresholded:
        cells = answers.aligned.mean() - answers.best.mean()
        return f"{text} The distance of the cells costs another {cells:.3f}."
    return f"{text} Cells cost nothing: shapes are compared with centres together."
