"""Whether a pyramid of fewer shapes, in the form that anchor generators state, would do as well."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from kedge.anchors.grid import Grid
from kedge.design import fit_pyramid
from kedge.doctor.anchor_checks.cures import as_generator_command
from kedge.doctor.answers import fit_of
from kedge.doctor.context import Context, halves
from kedge.doctor.finding import Finding, count, percent
from kedge.doctor.setup import Setup

_FORMS = ((1, 1), (1, 3), (2, 3))  # scales, ratios: fewest shapes first
_LOSS = 0.005
_BOXES = 1_000


def check(context: Context) -> list[Finding]:
    """The fewest scales x ratios, designed on half of the images, that cover as many objects of the
    other half as the shapes in use, and as as many designed ones within half a point."""
    setup = context.setup
    if setup is None or setup.points or not setup.thresholded or context.designed is None:
        return []
    designed = context.designed
    counts = set(setup.grid.shapes_per_level)
    if len(counts) != 1 or setup.grid.num_levels == 1:
        return []
    (many,) = counts
    kept = (designed.before, designed.after)
    target = max(float(one.covered(setup.threshold).mean()) for one in kept) - _LOSS
    for scales, ratios in _FORMS:
        if scales * ratios >= many:
            break
        best = _best_iou(context, setup, scales, ratios)
        if float((best >= setup.threshold).mean()) >= target:
            return [_finding(context, (scales, ratios), many, best)]
    return []


def _best_iou(context: Context, setup: Setup, scales: int, ratios: int) -> NDArray[np.float64]:
    """Of the objects of the images held out, with a pyramid designed on the others."""
    train, held = halves(context.sample)
    part = np.random.default_rng(context.seed).permutation(len(train))[:_BOXES]
    found = fit_pyramid(
        train.wh[part],
        scales,
        ratios,
        "placed",
        image_size=setup.image_size,
        strides=setup.strides,
        offset=float(setup.grid.levels[0].offset),
        centres=train.centres[part],
        threshold=setup.threshold,
        restarts=2,
        seed=context.seed,
    )
    assert found.levels is not None
    levels = [
        replace(old, shapes=torch.tensor(new.shapes))
        for old, new in zip(setup.grid.levels, found.levels)
    ]
    fewer = replace(setup, grid=Grid(setup.image_size, levels))
    return fit_of(fewer, torch.from_numpy(held.fair.xyxy))[0].numpy()


def _finding(
    context: Context, form: tuple[int, int], many: int, best: NDArray[np.float64]
) -> Finding:
    setup, designed = context.setup, context.designed
    assert setup is not None
    assert designed is not None
    few = form[0] * form[1]
    after = float((best >= setup.threshold).mean())
    sets = (designed.before, designed.after)
    before = [float(one.covered(setup.threshold).mean()) for one in sets]
    fits = ", ".join(f"{one.best.mean():.3f}" for one in sets)
    return Finding(
        check="fewer_shapes",
        severity="note",
        symptom=f"{count(few, 'shape')} a level ({count(form[0], 'scale')} x "
        f"{count(form[1], 'aspect ratio')}) would cover as many objects as {many} do",
        evidence={
            **context.note_of_sample(),
            "shapes_a_level": few,
            "shapes_in_use": many,
            "covered_in_use_and_designed": before,
            "covered_by_fewer": after,
        },
        cause=f"What counts for a positive is IoU {setup.threshold:g}; more shapes fit better than "
        "that, and cost time.",
        cure=as_generator_command(context, *form),
        predicted={
            "text": f"{percent(1 - few / many)} fewer anchors; {percent(after)} of the objects of "
            f"images held out reach IoU {setup.threshold:g} ({percent(before[0])} with those in "
            f"use, {percent(before[1])} with as many designed ones), but their mean best IoU is "
            f"{best.mean():.3f} ({fits})",
            "covered_before": max(before),
            "covered_after": after,
            "anchors_spared": 1 - few / many,
        },
    )
