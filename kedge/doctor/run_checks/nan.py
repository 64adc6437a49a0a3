"""A loss that is not a number: the first step, the term, and what led there."""

import math

import numpy as np

from kedge.counted import count
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent
from kedge.doctor.records import RunRecords

_GROWN = 5.0
_BAD_BOXES = ("NaN or infinite", "zero area", "flipped")


def check(context: Context) -> list[Finding]:
    """The first row of metrics.jsonl with a null."""
    run = context.run
    if run is None:
        return []
    bad = [row for row in run.metrics if any(row.get(n, 0) is None for n in ("loss", *_terms(run)))]
    if not bad:
        return []
    first = bad[0]
    terms = [name.removeprefix("loss_") for name in _terms(run) if first.get(name, 0) is None]
    growth = _growth(run, int(first["step"]))
    cause, cure = _cause(context, run, terms, growth)
    last = [row for row in run.metrics if row["step"] < first["step"]]
    return [
        Finding(
            check="nan_loss",
            severity="error",
            symptom=f"The loss is not a number from step {first['step']}"
            + (f" on (first: {', '.join(terms)})" if terms else " on"),
            evidence={
                "first_step": int(first["step"]),
                "epoch": first.get("epoch"),
                "terms": terms,
                "lr_there": first.get("lr"),
                "lr": run.config.lr,
                "growth_before": growth,
                "last_finite": dict(last[-1]) if last else None,
            },
            cause=cause,
            cure=cure,
            unpredicted="how a run goes can only be seen by running it",
        )
    ]


def _terms(run: RunRecords) -> list[str]:
    return run.loss_names()


def _growth(run: RunRecords, step: int) -> dict[str, float]:
    """By how much each loss grew, from its smallest value, in the rows before ``step``."""
    grown: dict[str, float] = {}
    for name in ("loss", *_terms(run)):
        steps, values = run.series(name)
        before = values[(steps < step) & np.isfinite(values)]
        if len(before) >= 2 and before.min() > 0:
            grown[name.removeprefix("loss_")] = float(before[-3:].max() / before.min())
    return grown


def _cause(
    context: Context, run: RunRecords, terms: list[str], growth: dict[str, float]
) -> tuple[str, str]:
    config = run.config
    words = f"kedge train --config {run.folder}/config.yaml --out {run.folder}-2"
    bad = [f for f in context.data.findings if f.kind in _BAD_BOXES]
    worst = max(growth.values(), default=math.nan)
    if worst >= _GROWN:
        name = max(growth, key=lambda key: growth[key])
        clip = "" if config.grad_clip else ", without a limit on the gradient"
        return (
            f"The run diverged: {name} had grown {worst:.0f}-fold by then. The learning rate "
            f"({config.lr:g}{clip}) is too high.",
            f"{words} --lr {config.lr / 10:g} --grad-clip {config.grad_clip or 10:g}",
        )
    if bad:
        share = len(bad) / max(1, len(bad) + len(context.objects))
        return (
            f"{count(len(bad), 'box', 'boxes')} ({percent(share)}) with NaN, flipped or without "
            f"area, such as {bad[0]}. One is enough: its regression target is log(0) or NaN.",
            f"{words} --on-bad-box drop",
        )
    if config.precision == "16":
        return (
            "Numbers above 65,504 overflow in 16 bits, and the loss did not grow before.",
            f"{words} --precision bf16",
        )
    if len(run.metrics) <= 2 or not growth:
        return (
            f"It failed within the first steps: at lr {config.lr:g} the first updates already "
            "throw the weights out of range.",
            f"{words} --lr {config.lr / 10:g} --grad-clip {config.grad_clip or 10:g} "
            "--lr-warmup 200",
        )
    term = terms[0] if terms else "loss"
    return (
        f"A single step did it: no loss had grown before. A batch holds a value that {term} cannot "
        "take.",
        f"kedge doctor --data {context.source} --strict   # then {words} --log-every 1",
    )
