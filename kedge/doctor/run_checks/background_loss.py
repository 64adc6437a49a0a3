"""A classification loss that is nearly all background."""

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent

_MOST = 0.8


def check(context: Context) -> list[Finding]:
    """Background makes more than 80 % of the classification and objectness loss."""
    probe = context.probe
    if probe is None or probe.background_share is None or probe.background_share < _MOST:
        return []
    share, setup = probe.background_share, context.setup
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
                "negatives_per_positive": ratio,
                "recall": probe.recall,
                "images": probe.images,
            },
            cause="Negatives outnumber positives"
            + (f" {ratio:,.0f} to 1" if ratio else "")
            + ", and the loss does not make up for it: the detector gains most by calling "
            "everything background.",
            cure=f"YOLOv2Loss(background={weight:g}), or more positives per object"
            if yolo
            else "The focal loss with alpha 0.25, gamma 2 and a prior of 0.01, or sampled "
            "negatives (kedge.sample)",
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
