"""How rare positives are among all anchors."""

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent

_RARE = 0.01


def check(context: Context) -> list[Finding]:
    """Less than 1 % of the anchors are positive: plain cross-entropy would drown in background."""
    setup = context.setup
    if setup is None or len(context.fair) == 0:
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
            symptom=f"{percent(share)} of the anchors are positive: 1 positive to {ratio:,.0f} "
            "negatives",
            evidence={
                **context.note_of_sample(),
                "positive": positive,
                "negative": negative,
                "ignored": answers.ignored,
                "anchors": answers.anchors,
                "share": share,
            },
            cause="Usual for dense detectors: almost every anchor shows background.",
            cure="Nothing, while the classification loss expects it (focal loss with a prior of "
            "0.01, or YOLO's weights). With plain cross-entropy: sample the negatives, 3 for each "
            "positive (kedge train ... --sample hard_negatives:ratio=3).",
            predicted={
                "text": f"with 3 negatives sampled for each positive: {percent(positive / mined)} "
                "of the anchors in the loss are positive"
                if positive
                else "nothing to sample from: there is no positive",
                "share_after_sampling": positive / max(1, mined),
            },
        )
    ]
