"""A classification loss that is nearly all background."""

import math
from shlex import quote as quoted
from typing import Any

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent
from kedge.doctor.records import RunRecords
from kedge.parts import assignments, text_of

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
    cure, predicted = _lighter(context.run, share)
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
            cure=cure,
            predicted=predicted,
            unpredicted="" if predicted else "how a run goes can only be seen by running it",
        )
    ]


def _lighter(run: RunRecords | None, share: float) -> tuple[str, dict[str, Any] | None]:
    """Cure and predicted effect: another weight of the background, where the loss has one."""
    from kedge.losses import DenseLoss  # seconds of imports, which a look at data does not need
    from kedge.train.make_detector import sketch_of
    from kedge.train.stages import first_stage

    loss = None if run is None else getattr(first_stage(sketch_of(run.config)), "loss", None)
    if run is None or not isinstance(loss, DenseLoss) or loss.objectness is None:
        return (
            "The focal loss with a prior of 0.01 (--loss classes=focal), or sampled negatives "
            "(--sample hard_negatives:ratio=3)",
            None,
        )
    said = assignments(run.config.loss or "", "loss")
    now = float(said.get("background_weight", loss.objectness.background))
    weight = float(f"{now * max(0.05, (1 - share) / share):.2g}")
    after = weight * share / (weight * share + now * (1 - share))
    terms = text_of(said | {"background_weight": f"{weight:g}"})
    return f"kedge train ... --loss {quoted(terms)}, or more positives per object", {
        "text": f"with the background weighed {weight:g} in place of {now:g}: {percent(after)} of "
        "the loss at these weights",
        "share_before": share,
        "share_after": after,
    }


def _logged(context: Context) -> float | None:
    """The share in the last tenth of the run's rows; None where it logged none, or too few."""
    last = float("nan") if context.run is None else context.run.smooth("background_share")[1]
    return None if math.isnan(last) else last
