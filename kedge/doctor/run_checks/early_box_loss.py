"""A box loss that starts far too high: what the anchors have to do with it."""

import math

import numpy as np
import torch

from kedge.doctor.answers import answer
from kedge.doctor.context import Context, design_for
from kedge.doctor.finding import Finding

_TIMES = 5.0
_FACTOR = math.log(1.6)


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
    spread, signed = float(np.abs(residual).mean()), float(residual.mean())
    anchors = spread > _FACTOR
    if not anchors and times < 10 * _TIMES:
        return []
    better = design_for(start, context.few, context.seed) if anchors else None
    after = None if better is None else float(np.abs(better.after.residual[:, 2:]).mean())
    side = "larger" if signed > 0 else "smaller"
    systematic = abs(signed) > 0.8 * spread
    listed = (
        ""
        if better is None
        else ",".join(f"{w:.1f}x{h:.1f}" for w, h in better.setup.grid.shapes.tolist())
    )
    config = f"kedge train --config {run.folder}/config.yaml --out {run.folder}-2"
    return [
        Finding(
            check="early_box_loss",
            severity="warning",
            symptom=f"The box loss starts at {first:.3g}, {times:.0f} times what it comes to "
            f"({last:.3g})",
            evidence={
                "first": first,
                "last": last,
                "times": times,
                "mean_abs_log_size_ratio": spread,
                "mean_log_size_ratio": signed,
                "factor": math.exp(spread),
            },
            cause=(
                f"The anchors the run started from: the objects are {side} than their anchors by "
                f"a factor of {math.exp(abs(signed)):.1f}. Anchors of another image size, or in "
                "cells where pixels belong, look like this."
                if systematic
                else "The anchors the run started from have other shapes than the objects: a "
                f"factor of {math.exp(spread):.1f} on average."
            )
            if anchors
            else "Not the anchors: they differ from their objects by a factor of "
            f"{math.exp(spread):.1f} only. The learning rate rises too fast, or the regression "
            "targets are not normalised.",
            cure=f"{config} --anchors {listed} --anchor-scale 1"
            if listed
            else f"{config} --lr-warmup 0.1",
            predicted=None
            if after is None
            else {
                "text": f"mean |log size ratio| of object and anchor {spread:.2f} -> {after:.2f}, "
                "which is what the first box losses are made of",
                "before": spread,
                "after": after,
            },
            unpredicted=""
            if after is not None
            else "how a run goes can only be seen by running it",
        )
    ]
