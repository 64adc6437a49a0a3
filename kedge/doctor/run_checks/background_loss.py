"""A classification loss that is nearly all background."""

import math

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent

_MOST = 0.8


def check(context: Context) -> list[Finding]:
    """Background makes more than 80 % of the classification and objectness loss: at the end of the
    run as it logged it, or where it logged nothing, of the trained detector on a few images."""
    logged, probe = _logged(context), context.probe
    share = logged if logged is not None or probe is None else probe.background_share
    if share is None or share < _MOST:
        return []
    setup = context.setup
    ratio = None
    if setup is not None and len(context.fair):
        answers = context.answers
        positive = max(1, int(answers.per_shape.sum()))
        ratio = (answers.anchors - positive - answers.ignored) / positive
    factor = share / (1 - share) if share < 1 else float("inf")
    yolo = context.run is not None and context.run.config.detector == "yolov2"
    weight = max(0.05, round(1 / factor, 2)) if factor > 0 else 1.0
    return [
        Finding(
            check="background_loss",
            severity="warning",
            symptom=f"{percent(share)} of the classification loss comes from background",
            evidence={
                "share": share,
                "from": "the run's log" if logged is not None else "the trained detector",
                "negatives_per_positive": ratio,
                "recall": None if probe is None else probe.recall,
            },
            cause="Negatives outnumber positives"
            + (f" {ratio:,.0f} to 1" if ratio else "")
            + ", and the loss does not make up for it: the detector gains most by calling "
            "everything background.",
            cure=f"kedge train ... --loss background_weight={weight:g}, or more positives per "
            "object"
            if yolo
            else "The focal loss with a prior of 0.01 (--loss classes=focal), or sampled negatives "
            "(--sample hard_negatives:ratio=3)",
            predicted={
                "text": f"with the background weighed {weight:g}: "
                f"{percent(weight * share / (weight * share + 1 - share))} of the loss at these "
                "weights",
                "share_before": share,
                "share_after": weight * share / (weight * share + 1 - share),
            }
            if yolo
            else None,
            unpredicted="" if yolo else "how a run goes can only be seen by running it",
        )
    ]


def _logged(context: Context) -> float | None:
    """The share in the last tenth of the run's rows; None where it logged none, or too few."""
    last = float("nan") if context.run is None else context.run.smooth("background_share")[1]
    return None if math.isnan(last) else last
