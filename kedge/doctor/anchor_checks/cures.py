"""Commands that the checks of anchors recommend, and what designed anchors would do."""

from typing import Any

import numpy as np

from kedge.doctor.context import Context, Designed
from kedge.doctor.finding import percent

_PASTE = 15  # more shapes than this are not pasted into a command line


def design_command(context: Context, designed: Designed | None = None) -> str:
    """The command that designs anchors for these data and levels; with the shapes already found
    where a training can take them."""
    setup = context.setup
    assert setup is not None
    size = size_words(setup.image_size)
    strides = " ".join(f"{s:g}" for s in setup.strides)
    goal = "placed" if setup.thresholded else "mean_iou"
    command = (
        f"kedge design {context.source} --k {setup.grid.num_shapes} --image-size {size} "
        f"--strides {strides} --objective {goal}"
    )
    command += f" --root {context.data.root}" if context.data.root is not None else ""
    offset = float(setup.grid.levels[0].offset)
    command += f" --offset {offset:g}" if offset != 0.5 else ""
    if designed is None or not setup.configurable or setup.grid.num_shapes > _PASTE:
        return command
    shapes = designed.setup.grid.shapes.tolist()
    listed = ",".join(f"{w:.1f}x{h:.1f}" for w, h in shapes)
    words = f"kedge train {setup.flags} --anchors {listed} --anchor-scale 1"
    words += f" --out {context.run.folder}-2" if context.run is not None else ""
    return f"{command}\nor, as found here: {words}"


def size_words(image_size: tuple[int, int]) -> str:
    """An image size for a command line: one number for a square."""
    height, width = image_size
    return f"{height}" if height == width else f"{height} {width}"


def predicted_coverage(context: Context) -> tuple[dict[str, Any] | None, str]:
    """Coverage before and after a design, on images that the design did not see; or why not."""
    setup, designed = context.setup, context.designed
    assert setup is not None
    if designed is None:
        return None, "too few objects to design for"
    threshold = setup.threshold
    before = float(designed.before.covered(threshold).mean())
    after = float(designed.after.covered(threshold).mean())
    fit = float(designed.before.best.mean()), float(designed.after.best.mean())
    return {
        "text": f"designed shapes (as many, on the same levels), on {len(designed.objects):,} "
        f"objects of images held out: {percent(before)} -> {percent(after)} of the objects reach "
        f"IoU {threshold:g}; mean best IoU {fit[0]:.3f} -> {fit[1]:.3f}",
        "covered_before": before,
        "covered_after": after,
        "mean_best_iou_before": fit[0],
        "mean_best_iou_after": fit[1],
        "shapes": np.round(designed.setup.grid.shapes.numpy(), 2).tolist(),
    }, ""


def worth_it(predicted: dict[str, Any] | None) -> bool:
    """Whether a design covers more objects, or fits them better."""
    if predicted is None:
        return False
    gain = predicted["covered_after"] - predicted["covered_before"]
    fit = predicted["mean_best_iou_after"] - predicted["mean_best_iou_before"]
    return gain > 0.002 or (gain >= -0.002 and fit > 0.01)
