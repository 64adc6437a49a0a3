"""How rare positives are among all anchors."""

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent

_RARE = 0.01


def check(context: Context) -> list[Finding]:
    """Less than 1 % of the anchors are positive: plain cross-entropy would drown in background."""
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
    expected = setup.focal or not setup.thresholded
    mined = positive + min(negative, 3 * positive)
    return [
        Finding(
            check="positive_share",
            severity="note" if expected and positive else "warning",
            symptom=f"{percent(share)} of the anchors are positive: {ratio:,.0f} negatives to one"
            if positive
            else "No anchor is positive",
            evidence={
                **context.note_of_sample(),
                "positive": positive,
                "negative": negative,
                "ignored": answers.ignored,
                "anchors": answers.anchors,
                "share": share,
            },
            cause="Almost every anchor shows background."
            + (" This detector's loss is made for it." if setup.focal else ""),
            cure="Nothing to do."
            if expected
            else "Sample the negatives, 3 for each positive: kedge train ... --sample "
            "hard_negatives:ratio=3"
            if positive
            else "First anchors that answer for objects: there is no positive at all.",
            predicted={
                "text": f"{percent(positive / mined)} of the anchors in the loss are positive",
                "share_after_sampling": positive / max(1, mined),
            }
            if positive and not expected
            else None,
            unpredicted="nothing has to change" if expected else "there is no positive to sample",
        )
    ]
