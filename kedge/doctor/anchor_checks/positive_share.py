"""How rare positives are among all anchors."""

from typing import Any

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent

_RARE = 0.01
_FADES = 300  # negatives to a positive; a cross-entropy lost 2 points at 120 and gained 7 at 500


def check(context: Context) -> list[Finding]:
    """Less than 1 % of the anchors are positive: plain cross-entropy would drown in background, and
    squared errors of a sigmoid fade."""
    setup = context.setup
    if setup is None or setup.by_predictions or len(context.fair) == 0:
        return []
    answers = context.answers
    positive = int(answers.per_shape.sum())
    share = positive / answers.anchors
    if share >= _RARE:
        return []
    negative = answers.anchors - positive - answers.ignored
    ratio = negative / max(1, positive)
    if positive == 0:
        said = _none()
    elif setup.fades and ratio >= _FADES:
        said = _fading(setup.grid.num_shapes > 1)
    elif setup.focal or not setup.thresholded:
        said = _expected(setup.focal)
    else:
        said = _drowning(positive, negative)
    symptom = "No anchor is positive"
    if positive:
        symptom = f"{percent(share)} of the anchors are positive: {ratio:,.0f} negatives to one"
    return [
        Finding(
            check="positive_share",
            symptom=symptom,
            evidence={
                **context.note_of_sample(),
                "positive": positive,
                "negative": negative,
                "ignored": answers.ignored,
                "anchors": answers.anchors,
                "share": share,
            },
            **said,
        )
    ]


def _none() -> dict[str, Any]:
    return {
        "severity": "warning",
        "cause": "Almost every anchor shows background.",
        "cure": "First anchors that answer for objects: there is no positive at all.",
        "unpredicted": "there is no positive to sample",
    }


def _expected(focal: bool) -> dict[str, Any]:
    made = " This detector's loss is made for it." if focal else ""
    return {
        "severity": "note",
        "cause": f"Almost every anchor shows background.{made}",
        "cure": "Nothing to do.",
        "unpredicted": "nothing has to change",
    }


def _fading(several: bool) -> dict[str, Any]:
    """The loss is one that background puts out; ``several`` shapes make more of it."""
    return {
        "severity": "warning",
        "cause": "Every shape is background in every cell but its own object's, and this detector "
        "learns objectness by squared errors of a sigmoid, whose gradient fades where nearly "
        "everything is background: more shapes can then cost accuracy, however well they fit.",
        "cure": "Learn objectness by cross-entropy: kedge train ... --loss objectness=cross_entropy"
        + ("; or fewer shapes" if several else ""),
        "unpredicted": "how a run goes can only be seen by running it",
    }


def _drowning(positive: int, negative: int) -> dict[str, Any]:
    mined = positive + min(negative, 3 * positive)
    return {
        "severity": "warning",
        "cause": "Almost every anchor shows background.",
        "cure": "Sample the negatives, 3 for each positive: kedge train ... --sample "
        "hard_negatives:ratio=3",
        "predicted": {
            "text": f"{percent(positive / mined)} of the anchors in the loss are positive",
            "share_after_sampling": positive / max(1, mined),
        },
    }
