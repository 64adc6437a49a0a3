"""Objects that resizing makes smaller than a pixel."""

import numpy as np
from numpy.typing import NDArray

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, count, percent
from kedge.doctor.objects import most_affected


def check(context: Context) -> list[Finding]:
    """Objects with a side below one pixel in the network's input."""
    seen = context.seen.fair
    if len(seen) == 0:
        return []
    side = seen.wh.min(axis=1)
    lost = side < 1
    if not lost.any():
        return []
    share = float(lost.mean())
    factor, left = _enlarge(side)
    height, width = context.image_size
    larger = [32 * round(factor * edge / 32 + 0.49) for edge in (height, width)]
    return [
        Finding(
            check="below_one_pixel",
            severity="error" if share > 0.05 else "warning" if share > 0.002 else "note",
            symptom=f"{count(int(lost.sum()), 'object')} ({percent(share)}) have a side below one "
            f"pixel in an input of {height} x {width}",
            evidence={
                "below_1_px": share,
                "below_2_px": float((side < 2).mean()),
                "below_4_px": float((side < 4).mean()),
                "smallest_side": float(side.min()),
                "worst_images": most_affected(context.names, seen.image[lost]),
            },
            cause="The images are shrunk too far for these objects, or slivers of objects were "
            "labelled (a corner of a box left after cropping).",
            cure=f"--image-size {larger[0]} {larger[1]}   # or cut large images into tiles; or "
            "remove slivers from the annotations",
            predicted={
                "text": f"at {larger[0]} x {larger[1]}: {percent(left)} below one pixel in place "
                f"of {percent(share)}",
                "image_size": larger,
                "below_1_px_before": share,
                "below_1_px_after": left,
            },
        )
    ]


def _enlarge(side: NDArray[np.floating]) -> tuple[float, float]:
    """The factor (at most 4) that brings 99.9 % of the objects to a pixel; the share then left."""
    needed = 1 / max(float(np.quantile(side, 0.001)), 0.25)
    factor = float(np.clip(np.ceil(2 * needed) / 2, 1.5, 4.0))
    return factor, float((side * factor < 1).mean())
