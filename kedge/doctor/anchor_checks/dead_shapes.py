"""Shapes that never answer for an object."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kedge.anchors.grid import Grid
from kedge.doctor.answers import fit_of
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, count, percent
from kedge.doctor.setup import Setup

_DEAD = 0.001
_LISTED = 15  # shapes that are pasted into a cure


def check(context: Context) -> list[Finding]:
    """Shapes with less than a thousandth of the positives."""
    setup = context.setup
    if setup is None or setup.points or len(context.fair) == 0 or setup.grid.num_shapes == 1:
        return []
    answers = context.answers
    total = int(answers.per_shape.sum())
    dead = answers.per_shape <= _DEAD * total
    if total == 0 or not dead.any() or dead.all():
        return []
    grid, level = setup.grid, setup.grid.rows.level.numpy()
    rest = without(setup, dead)
    best = fit_of(rest, torch.from_numpy(context.fair.xyxy))[0].numpy()
    before, after = (float((b >= setup.threshold).mean()) for b in (answers.best, best))
    rows = [
        {"stride": setup.strides[i], "w": w, "h": h, "positives": n}
        for i, (w, h), n in zip(
            *(x[dead].tolist() for x in (level, grid.shapes.numpy(), answers.per_shape))
        )
    ]
    share = 1 - len(rest.grid) / len(grid)
    return [
        Finding(
            check="dead_shapes",
            severity="warning" if dead.mean() >= 0.3 else "note",
            symptom=f"{int(dead.sum())} of {count(len(dead), 'shape')} with less than a thousandth "
            f"of the positives each: {_named(rows)}",
            evidence={
                **context.note_of_sample(),
                "shapes": rows,
                "of": len(dead),
                "positives": total,
                "mean_share_of_a_shape": 1 / len(dead),
            },
            cause=_cause(context, dead),
            cure=_cure(setup, rest, dead),
            predicted={
                "text": f"without them: {percent(share)} fewer anchors, coverage at IoU "
                f"{setup.threshold:g} {percent(before)} -> {percent(after)}, mean best IoU "
                f"{answers.best.mean():.3f} -> {np.mean(best):.3f}",
                "anchors_spared": share,
                "covered_before": before,
                "covered_after": after,
            },
        )
    ]


def without(setup: Setup, dead: NDArray[np.bool_]) -> Setup:
    """The same without the shapes ``dead`` (S,), and without levels that have no other."""
    grid, alive = setup.grid, torch.from_numpy(~dead)
    masks = [(grid.rows.level == i) & alive for i in range(grid.num_levels)]
    kept = [
        replace(level, shapes=grid.shapes[mine])
        for level, mine in zip(grid.levels, masks)
        if mine.any()
    ]
    return replace(setup, grid=Grid(grid.image_size, kept))


def _named(rows: list[dict[str, Any]]) -> str:
    words = [f"{r['w']:.0f} x {r['h']:.0f} (stride {r['stride']:g})" for r in rows[:4]]
    return ", ".join(words) + (" ..." if len(rows) > 4 else "")


def _cause(context: Context, dead: NDArray[np.bool_]) -> str:
    """How many objects a dead shape fits, and how many of these it fits best."""
    setup, answers = context.setup, context.answers
    assert setup is not None
    only = without(setup, ~dead)
    fits = fit_of(only, torch.from_numpy(context.fair.xyxy))[2].numpy() >= setup.threshold
    best = dead[answers.aligned_shape] & (answers.aligned >= setup.threshold)
    if not fits.any():
        return (
            f"Centres moved together, no object reaches IoU {setup.threshold:g} with one of them. "
            "Their outputs learn background only, and cost time."
        )
    text = f"Centres moved together, {percent(float(fits.mean()))} of the objects reach IoU "
    text += f"{setup.threshold:g} with one of them; "
    if not best.any():
        return f"{text}each of these fits another shape better."
    return f"{text}for {percent(float(best.mean()))} it is the best shape."


def _cure(setup: Setup, rest: Setup, dead: NDArray[np.bool_]) -> str:
    counts = setup.grid.shapes_per_level
    per_level = np.split(dead, np.cumsum(counts)[:-1])
    idle = [f"{s:g}" for s, mine in zip(setup.strides, per_level) if mine.all()]
    if len(counts) > 1:
        whole = f"Leave out the levels of stride {', '.join(idle)}" if idle else ""
        single = "the other shapes" if idle else "Leave these shapes out"
        if all(mine.all() or not mine.any() for mine in per_level):
            return f"{whole}."
        return (
            f"{whole}{' and ' if idle else ''}{single}, where the levels have layers of their own; "
            "layers that all levels share need equally many shapes on each."
        )
    listed = ",".join(f"{w:.1f}x{h:.1f}" for w, h in rest.grid.shapes.tolist())
    return (
        f"Leave them out: --anchors {listed}"
        if rest.grid.num_shapes <= _LISTED
        else "Leave them out."
    )
