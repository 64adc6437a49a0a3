"""Shapes that never answer for an object."""

from dataclasses import replace

import numpy as np

from kedge.anchors.grid import Grid
from kedge.doctor.anchor_checks.cures import size_words
from kedge.doctor.answers import fit_of
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent

_DEAD = 0.001


def check(context: Context) -> list[Finding]:
    """Shapes with less than a thousandth of the positives."""
    import torch

    setup = context.setup
    if setup is None or len(context.fair) == 0 or setup.grid.num_shapes == 1:
        return []
    answers = context.answers
    total = int(answers.per_shape.sum())
    dead = answers.per_shape <= _DEAD * total
    if total == 0 or not dead.any() or dead.all():
        return []
    grid = setup.grid
    level, shapes = grid.rows.level.numpy(), grid.shapes
    kept = [
        replace(old, shapes=shapes[torch.from_numpy((level == i) & ~dead)])
        for i, old in enumerate(grid.levels)
        if ((level == i) & ~dead).any()
    ]
    rest = replace(setup, grid=Grid(grid.image_size, kept))
    best = fit_of(rest, torch.from_numpy(context.fair.xyxy))[0].numpy()
    before, after = (float((b >= setup.threshold).mean()) for b in (answers.best, best))
    rows = [
        {"stride": setup.strides[level[i]], "w": w, "h": h, "positives": int(answers.per_shape[i])}
        for i, (w, h) in enumerate(shapes.tolist())
        if dead[i]
    ]
    named = ", ".join(f"{r['w']:.0f} x {r['h']:.0f} (stride {r['stride']:g})" for r in rows[:4])
    share = 1 - len(rest.grid) / len(grid)
    return [
        Finding(
            check="dead_shapes",
            severity="warning" if dead.mean() >= 0.3 else "note",
            symptom=f"{int(dead.sum())} of {len(dead)} shapes are hardly ever positive: {named}"
            + (" ..." if len(rows) > 4 else ""),
            evidence={
                **context.note_of_sample(),
                "shapes": rows,
                "of": len(dead),
                "positives": total,
                "mean_share_of_a_shape": 1 / len(dead),
            },
            cause="No object has that size and form. Their outputs learn background only, and "
            "cost time.",
            cure="Leave these shapes out, or design fewer: "
            f"kedge design {context.source} --k {int((~dead).sum())} --image-size "
            f"{size_words(grid.image_size)}"
            + (
                ""
                if len(set(grid.shapes_per_level)) > 1 or len(grid.levels) == 1
                else " (heads that are shared by all levels need equally many on each)"
            ),
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
