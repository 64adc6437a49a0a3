"""Objects whose best anchor falls short of the threshold, and why."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kedge.anchors.grid import Grid
from kedge.doctor.anchor_checks.cures import design_command, predicted_coverage
from kedge.doctor.anchor_checks.groups import by_band, by_class, severity_of
from kedge.doctor.anchor_checks.options import Option, as_cure, options, worthwhile
from kedge.doctor.answers import fit_of
from kedge.doctor.context import Context, design_for
from kedge.doctor.finding import Finding, percent
from kedge.doctor.objects import most_affected


def check(context: Context) -> list[Finding]:
    """Below the threshold: only a rescued anchor (low-quality match) or a poor fit answers."""
    setup = context.setup
    if setup is None or setup.points or len(context.fair) == 0:
        return []
    answers = context.answers
    short = ~answers.covered(setup.threshold)
    share = float(short.mean())
    if share < 0.002:
        return []
    predicted, why = predicted_coverage(context)
    gains = predicted is not None and (
        predicted["covered_after"] - predicted["covered_before"] > 0.05 * share
    )
    good = context.designed if gains else None
    reasons = _reasons(context, short)
    cure, predicted, why = (
        (design_command(context, good), predicted, why)
        if gains
        else _without_a_design(context, share, predicted)
    )
    found = Finding(
        check="poorly_covered",
        severity=severity_of(share, 0.05, 0.3)
        if setup.thresholded
        else severity_of(share, 0.1 if gains else 0.3, 0.6),
        symptom=f"{percent(share)} of the objects have no anchor "
        f"{'' if setup.thresholded else 'shape '}with IoU >= {setup.threshold:g}",
        evidence={
            **context.note_of_sample(),
            "share": share,
            "threshold": setup.threshold,
            "of_these": reasons["counts"],
            "by_class": by_class(context, short),
            "by_size": by_band(context, short),
            "worst_images": most_affected(context.sample_names, context.fair.image[short]),
        },
        cause=f"{reasons['text']} {_consequence(context, short)}",
        cure=cure,
        predicted=predicted,
        unpredicted=why,
    )
    return [found]


def _without_a_design(
    context: Context, share: float, predicted: dict[str, Any] | None
) -> tuple[str, dict[str, Any] | None, str]:
    """Cure, effect, or why there is none, where as many designed shapes do no better."""
    setup = context.setup
    assert setup is not None
    tried = [*_more_shapes(context), *options(context)[-2:]]
    found = worthwhile(share, tried, _uncovered)
    if not found:
        cure = "As many designed shapes do no better, nor do twice as many, a finer level or a "
        cure += "larger input."
        return cure, None, "none of them covers clearly more objects"
    cure, effect = as_cure(share, found, f"without IoU {setup.threshold:g}")
    return f"As many designed shapes do no better. {cure}", effect, ""


def _more_shapes(context: Context) -> list[Option]:
    """Twice as many shapes on every level, designed for half of the images."""
    setup = context.setup
    assert setup is not None
    levels = [
        replace(level, shapes=level.shapes_tensor().repeat(2, 1)) for level in setup.grid.levels
    ]
    twice = replace(setup, grid=Grid(setup.image_size, levels))
    designed = design_for(twice, context.sample, context.seed, restarts=2)
    if designed is None:
        return []
    words = f"more shapes: {design_command(context, like=twice)}"
    return [Option(words=words, setup=designed.setup, objects=designed.objects)]


def _uncovered(option: Option) -> float:
    best = fit_of(option.setup, torch.from_numpy(option.objects.fair.xyxy))[0].numpy()
    return float((best < option.setup.threshold).mean())


def _consequence(context: Context, short: NDArray[np.bool_]) -> str:
    setup, positives = context.setup, context.answers.positives
    assert setup is not None
    if setup.by_iou is None:
        return "The box regression has to bridge the difference, from the first step to the last."
    if setup.by_iou.low_quality == "none":
        return "Such an object has no positive at all: the rule rescues none."
    own = f"Such an object has {positives[short].mean():.1f} positive anchors on average"
    if short.all():
        return f"{own}, all of them by the low-quality match."
    return f"{own}, by the low-quality match; a covered one has {positives[~short].mean():.1f}."


def _reasons(context: Context, short: NDArray[np.bool_]) -> dict[str, Any]:
    """Why the best anchor falls short: too small, too large, elongated, between shapes, or cells
    too far apart."""
    answers, setup = context.answers, context.setup
    assert setup is not None
    shapes = setup.grid.shapes.numpy().astype(np.float64)
    area, ratio = np.sqrt(shapes.prod(axis=1)), shapes[:, 1] / shapes[:, 0]
    side, wh = context.fair.root_area, context.fair.wh
    slack = 2**0.5  # a shape of the same form and half the area has IoU 0.5
    tall = wh[:, 1] / np.maximum(wh[:, 0], 1e-6)
    place = short & (answers.aligned >= setup.threshold)
    left = short & ~place
    small = left & (side < area.min() / slack)
    large = left & (side > area.max() * slack)
    left &= ~small & ~large
    form = left & ((tall > ratio.max() * slack) | (tall < ratio.min() / slack))
    stride = np.array(setup.strides)[setup.grid.rows.level.numpy()[answers.aligned_shape]]
    coarse = place & (stride > min(setup.strides))
    where = ", ".join(f"{s:g}" for s in np.unique(stride[coarse]))
    masks = {
        f"smaller than every anchor (below {area.min() / slack:.0f} px)": small,
        f"larger than every anchor (above {area.max() * slack:.0f} px)": large,
        "more elongated than every anchor": form,
        "between the shapes": left & ~form,
        f"fitted by a shape, but it stands on too coarse a level (stride {where}) and finer levels "
        "lack it": coarse,
        "fitted by a shape, but the cells stand too far apart for their size (stride "
        f"{min(setup.strides):g})": place & ~coarse,
    }
    counts = {name: int(mask.sum()) for name, mask in masks.items() if mask.any()}
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    total = int(short.sum())
    words = [f"{percent(n / total)} are {name}" for name, n in ordered if n / total >= 0.05]
    return {"counts": counts, "text": "Of these, " + "; ".join(words) + "."}
