"""What the box head has to learn: mean, deviation and extremes of the regression targets."""

import math
from typing import Any

import numpy as np

from kedge.coders import DeltaCoder
from kedge.coders.delta import LOG_LIMIT
from kedge.doctor.anchor_checks.cures import design_command, predicted_coverage
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent
from kedge.doctor.setup import Setup

_NAMES = ("x", "y", "w", "h")
_OFF = 0.7  # log of a factor of two
_SIDED = 0.1


def check(context: Context) -> list[Finding]:
    """A note with a recommended normalisation; warnings for targets that are large or one-sided."""
    setup = context.setup
    if setup is None or len(context.fair) == 0 or len(context.answers.codes) == 0:
        return []
    codes, residual = context.answers.codes, context.answers.residual
    mean, std = codes.mean(axis=0), codes.std(axis=0)
    evidence: dict[str, Any] = {
        **context.note_of_sample(),
        "positives": len(codes),
        "mean": _named(mean),
        "std": _named(std),
        "smallest": _named(codes.min(axis=0)),
        "largest": _named(codes.max(axis=0)),
        "mean_log_size_ratio": residual[:, 2:].mean(axis=0).tolist(),
        "mean_abs_log_size_ratio": float(np.abs(residual[:, 2:]).mean()),
        "mean_shift_in_strides": residual[:, :2].mean(axis=0).tolist(),
    }
    far = None if setup.points else _sizes(context, evidence)
    found = [far, _normalisation(context, evidence, mean, std)]
    return [finding for finding in found if finding is not None]


def _named(values: Any) -> dict[str, float]:
    names = _NAMES if len(values) == 4 else [str(i) for i in range(len(values))]
    return {name: float(value) for name, value in zip(names, values)}


def _sizes(context: Context, evidence: dict[str, Any]) -> Finding | None:
    """Objects differ from their anchors by a factor of two or more on average."""
    residual = context.answers.residual
    spread = evidence["mean_abs_log_size_ratio"]
    beyond = float((np.abs(residual[:, 2:]) > LOG_LIMIT).any(axis=1).mean())
    if spread < _OFF and beyond == 0:
        return None
    signed = float(residual[:, 2:].mean())
    side = "larger" if signed > 0 else "smaller"
    systematic = abs(signed) > 0.8 * spread
    predicted, why = predicted_coverage(context)
    useful = False
    if predicted is not None:
        assert context.designed is not None
        after = float(np.abs(context.designed.after.residual[:, 2:]).mean())
        useful = after < 0.9 * spread
        text = f"mean |log size ratio| {spread:.2f} -> {after:.2f}; {predicted['text']}"
        predicted = predicted | {"text": text, "log_ratio_before": spread, "log_ratio_after": after}
    return Finding(
        check="far_regression_targets",
        severity="error" if spread > 2 * _OFF or beyond > 0.01 else "warning",
        symptom=f"Objects differ from their anchors by a factor of {math.exp(spread):.1f} in width "
        "and height on average: the box loss starts high",
        evidence=evidence | {"beyond_the_decoder": beyond},
        cause=(
            f"The anchors have another scale than the objects: these are {side} by a factor of "
            f"{math.exp(abs(signed)):.1f}. Often: anchors of another image size, or in cells "
            "where pixels belong."
            if systematic
            else "The anchors have other shapes than the objects."
        )
        + (f" {percent(beyond)} of the targets exceed what decoding allows." if beyond else ""),
        cure=design_command(context, context.designed)
        if useful
        else "As many designed shapes come no nearer: see poorly_covered.",
        predicted=predicted if useful else None,
        unpredicted=why or "designed shapes do not lower it",
    )


def _normalisation(context: Context, evidence: dict[str, Any], mean: Any, std: Any) -> Finding:
    setup = context.setup
    assert setup is not None
    shift = context.answers.residual[:, :2].mean(axis=0)
    sided = bool(np.abs(shift).max() > _SIDED)
    direction = []
    if abs(shift[0]) > _SIDED:
        direction.append("right" if shift[0] > 0 else "left")
    if abs(shift[1]) > _SIDED:
        direction.append("below" if shift[1] > 0 else "above")
    cure, predicted, why = "Nothing to do.", None, "the coder has no normalisation"
    if isinstance(setup.coder, DeltaCoder):
        means, stds = (np.array(v) for v in (setup.coder.means, setup.coder.stds))
        new_std = np.maximum(std * stds, 1e-3)
        new_mean = mean * stds + means
        cure = f"DeltaCoder(means={_tuple(new_mean)}, stds={_tuple(new_std)})"
        predicted = {
            "text": "targets with mean 0 and deviation 1 in place of deviations "
            + ", ".join(f"{v:.2f}" for v in std),
            "means": new_mean.tolist(),
            "stds": new_std.tolist(),
            "std_before": std.tolist(),
        }
        why = ""
    words = ", ".join(f"{n} {m:+.2f} ± {s:.2f}" for n, m, s in zip(_NAMES, mean, std))
    return Finding(
        check="regression_targets",
        severity="warning" if sided else "note",
        symptom=f"Regression targets: {words}"
        + (f"; objects lie {' and '.join(direction)} of their anchors" if sided else ""),
        evidence=evidence,
        cause=_side_words(setup)
        if sided
        else "The spread of each target decides how much it weighs in the loss.",
        cure=cure,
        predicted=predicted,
        unpredicted=why,
    )


def _side_words(setup: Setup) -> str:
    offset = float(setup.grid.levels[0].offset)
    drift = "predictions that fall back to the mean drift to that side."
    if abs(offset - 0.5) > 1e-6:
        return f"Anchors stand at {offset:g} of their cells (offset), not in the middle: {drift}"
    return f"Anchors stand in the middle of their cells, so the objects do not: {drift}"


def _tuple(values: Any) -> str:
    return "(" + ", ".join(f"{v:.3g}" for v in values) + ")"
