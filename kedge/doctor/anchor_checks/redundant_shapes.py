"""Shapes that nearly repeat another one of their level."""

from dataclasses import replace

import numpy as np
import torch

from kedge.anchors.grid import Grid
from kedge.counted import count
from kedge.doctor.answers import fit_of
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent

_SAME = 0.9


def check(context: Context) -> list[Finding]:
    """Pairs of shapes on one level with IoU > 0.9."""
    setup = context.setup
    if setup is None or setup.points or len(context.fair) == 0:
        return []
    grid, level = setup.grid, setup.grid.rows.level
    shapes = grid.shapes.double()
    shared = torch.minimum(shapes[:, None], shapes).prod(-1)
    area = shapes.prod(-1)
    iou = shared / (area[:, None] + area - shared)
    near = (iou > _SAME) & (level[:, None] == level)
    extra = torch.zeros(len(shapes), dtype=torch.bool)
    for i in range(len(shapes)):  # keep the first of every bunch
        extra[i] = bool((near[i, :i] & ~extra[:i]).any())
    if not extra.any():
        return []
    kept = [
        replace(old, shapes=grid.shapes[(level == i) & ~extra]) for i, old in enumerate(grid.levels)
    ]
    rest = replace(setup, grid=Grid(grid.image_size, kept))
    best = fit_of(rest, torch.from_numpy(context.fair.xyxy))[0].numpy()
    before, after = (float((b >= setup.threshold).mean()) for b in (context.answers.best, best))
    strides = [setup.strides[i] for i in level[extra].tolist()]
    rows = [
        {"stride": s, "w": w, "h": h} for s, (w, h) in zip(strides, grid.shapes[extra].tolist())
    ]
    named = ", ".join(f"{r['w']:.0f} x {r['h']:.0f}" for r in rows[:4])
    many = len(rows) / len(shapes) >= 0.3
    return [
        Finding(
            check="redundant_shapes",
            severity="warning" if many else "note",
            symptom=f"{len(rows)} of {count(len(shapes), 'shape')} "
            f"{'nearly repeats' if len(rows) == 1 else 'nearly repeat'} another of the same level "
            f"(IoU > {_SAME}): {named}" + (" ..." if len(rows) > 4 else ""),
            evidence={**context.note_of_sample(), "shapes": rows, "of": len(shapes)},
            cause="They fit the same objects, and share them.",
            cure="Leave them out, where the levels do not need equally many shapes."
            if grid.num_levels > 1
            else "Leave them out: --anchors "
            + ",".join(f"{w:.1f}x{h:.1f}" for w, h in grid.shapes[~extra].tolist()),
            predicted={
                "text": f"without them: coverage {percent(before)} -> "
                f"{percent(after)}, mean best IoU {context.answers.best.mean():.3f} -> "
                f"{np.mean(best):.3f}",
                "covered_before": before,
                "covered_after": after,
            },
        )
    ]
