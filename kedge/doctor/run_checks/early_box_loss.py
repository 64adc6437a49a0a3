"""A box loss that starts far too high: what the anchors have to do with it."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from kedge.doctor.answers import answer
from kedge.doctor.context import Context, Designed, design_for
from kedge.doctor.finding import Finding
from kedge.doctor.setup import Setup

_TIMES = 5.0
_FACTOR = math.log(1.6)
_NEARER = 0.9


def check(context: Context) -> list[Finding]:
    """The box loss starts five times higher than it ends, and the first anchors explain it; or it
    starts fifty times higher and they don't."""
    run, setup = context.run, context.setup
    if run is None or setup is None or len(context.fair) == 0:
        return []
    _, values = run.series("loss_box")
    values = values[np.isfinite(values)]
    if len(values) < 6:
        return []
    first, last = float(np.median(values[:3])), run.smooth("loss_box")[1]
    times = first / max(last, 1e-9)
    if times < _TIMES:
        return []
    shapes = run.first_shapes
    start = setup if shapes is None else setup.with_shapes(torch.tensor(shapes))
    residual = answer(start, context.few).residual[:, 2:]
    if len(residual) == 0:
        return []
    anchors = float(np.abs(residual).mean()) > _FACTOR
    if not anchors and times < 10 * _TIMES:
        return []
    return [_finding(context, start, (first, last), residual, anchors)]


def _finding(
    context: Context,
    start: Setup,
    losses: tuple[float, float],
    residual: NDArray[np.float64],
    anchors: bool,
) -> Finding:
    first, last = losses
    spread, signed = float(np.abs(residual).mean()), float(residual.mean())
    assert context.run is not None
    better = design_for(start, context.few, context.seed) if anchors else None
    config = f"kedge train --config {context.run.folder}/config.yaml "
    config += f"--out {context.run.folder}-2"
    cure, predicted = f"{config} --lr-warmup 0.1", None
    before, after = (math.nan, math.nan) if better is None else _spreads(better)
    if better is not None and after < _NEARER * before:
        shapes = better.setup.grid.shapes.tolist()
        listed = ",".join(f"{w:.1f}x{h:.1f}" for w, h in shapes)
        cure = f"{config} --anchors {listed} --anchor-scale 1"
        predicted = {
            "text": f"mean |log size ratio| of object and anchor, on images held out, "
            f"{before:.2f} -> {after:.2f}: what the first box losses are made of",
            "before": before,
            "after": after,
        }
    return Finding(
        check="early_box_loss",
        severity="warning",
        symptom=f"The box loss starts at {first:.3g}, {first / max(last, 1e-9):.0f} times what it "
        f"comes to ({last:.3g})",
        evidence={
            "first": first,
            "last": last,
            "times": first / max(last, 1e-9),
            "mean_abs_log_size_ratio": spread,
            "mean_log_size_ratio": signed,
            "factor": math.exp(spread),
        },
        cause=_cause(spread, signed, anchors),
        cure=cure,
        predicted=predicted,
        unpredicted="" if predicted else "how a run goes can only be seen by running it",
    )


def _spreads(better: Designed) -> tuple[float, float]:
    """Mean |log size ratio| of the old and of the designed anchors."""
    before, after = (
        float(np.abs(answers.residual[:, 2:]).mean()) for answers in (better.before, better.after)
    )
    return before, after


def _cause(spread: float, signed: float, anchors: bool) -> str:
    if not anchors:
        return (
            "Not the anchors: they differ from their objects by a factor of "
            f"{math.exp(spread):.1f} only. The learning rate rises too fast, or the regression "
            "targets are not normalised."
        )
    if abs(signed) > 0.8 * spread:
        side = "larger" if signed > 0 else "smaller"
        return (
            f"The anchors the run started from: the objects are {side} than their anchors by a "
            f"factor of {math.exp(abs(signed)):.1f}. Anchors of another image size, or in cells "
            "where pixels belong, look like this."
        )
    return (
        "The anchors the run started from have other shapes than the objects: a factor of "
        f"{math.exp(spread):.1f} on average."
    )
