"""Anchors that do not stand in the middle of their cells."""

import numpy as np

from kedge.doctor.answers import fit_of
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent


def check(context: Context) -> list[Finding]:
    """Levels whose offset is not 0.5: what centring would change."""
    import torch

    setup = context.setup
    if setup is None or setup.points or len(context.fair) == 0:
        return []
    offsets = [float(level.offset) for level in setup.grid.levels]
    if all(abs(offset - 0.5) < 1e-6 for offset in offsets):
        return []
    answers = context.answers
    centred = fit_of(setup.with_offset(0.5), torch.from_numpy(context.fair.xyxy))[0].numpy()
    before, after = (float((b >= setup.threshold).mean()) for b in (answers.best, centred))
    fit = float(answers.best.mean()), float(centred.mean())
    gain = after - before
    shift = np.mean(answers.residual[:, :2], axis=0) if len(answers.residual) else np.zeros(2)
    sided = bool(np.abs(shift).max() > 0.1)
    useful = gain > 0.002 or sided
    reach = (1 - offsets[-1]) * max(setup.strides)
    lopsided = (
        f" On stride {max(setup.strides):g} the last {reach:g} px at the right and the bottom "
    )
    lopsided += "hold no anchor's centre."
    return [
        Finding(
            check="offset",
            severity="warning" if gain > 0.01 or sided else "note",
            symptom=f"Anchors stand at {offsets[0]:g} of their cell, not in the middle",
            evidence={
                **context.note_of_sample(),
                "offset": offsets,
                "mean_shift_of_objects_in_strides": shift.tolist(),
                "mean_best_iou": fit[0],
                "mean_best_iou_centred": fit[1],
                "covered": before,
                "covered_centred": after,
            },
            cause=(
                "torchvision and Detectron2 place anchors at the corners of the cells."
                if offsets[0] == 0
                else "The levels say so."
            )
            + lopsided,
            cure="Level(..., offset=0.5), and train anew: weights learn the offset."
            if useful
            else "Nothing to do: weights that were trained so expect it.",
            predicted={
                "text": f"centred: {percent(before)} -> {percent(after)} of the objects reach IoU "
                f"{setup.threshold:g}, mean best IoU {fit[0]:.3f} -> {fit[1]:.3f}",
                "covered_before": before,
                "covered_after": after,
                "mean_best_iou_before": fit[0],
                "mean_best_iou_after": fit[1],
            }
            if useful
            else None,
            unpredicted=f"centred, {percent(after)} would reach IoU {setup.threshold:g} in place "
            f"of {percent(before)}",
        )
    ]
