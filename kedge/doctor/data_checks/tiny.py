"""Objects that resizing makes smaller than a pixel."""

import math

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, count, percent
from kedge.doctor.objects import as_seen, most_affected

_FACTORS = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0)


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
    height, width = context.image_size
    larger, left = _enlarge(context)
    slivers = int((context.objects.fair.wh.min(axis=1)[lost] < 1).sum())
    helps = left < share and slivers < lost.sum()
    return [
        Finding(
            check="below_one_pixel",
            severity="error" if share > 0.05 else "warning" if share > 0.002 else "note",
            symptom=f"{count(int(lost.sum()), 'object')} ({percent(share)}) with a side below one "
            f"pixel in an input of {height} x {width}",
            evidence={
                "below_1_px": share,
                "below_2_px": float((side < 2).mean()),
                "below_4_px": float((side < 4).mean()),
                "smallest_side": float(side.min()),
                "below_1_px_as_annotated": slivers,
                "worst_images": most_affected(context.names, seen.image[lost]),
            },
            cause=_cause(int(lost.sum()), slivers),
            cure=f"--image-size {larger[0]} {larger[1]}   # or cut large images into tiles"
            if helps
            else "Correct these boxes in the annotations, or remove them.",
            predicted={
                "text": f"at {larger[0]} x {larger[1]}: {percent(left)} below one pixel in place "
                f"of {percent(share)}",
                "image_size": larger,
                "below_1_px_before": share,
                "below_1_px_after": left,
            }
            if helps
            else None,
            unpredicted="" if helps else "boxes of any size may stand there afterwards",
        )
    ]


def _cause(lost: int, slivers: int) -> str:
    """Whether they are as thin in the annotations, or resizing made them so."""
    thin = f"{count(slivers, 'is', 'are')} below one pixel in the annotations, too: slivers, such "
    thin += "as a crop leaves of a box."
    if slivers == lost:
        return thin
    shrunk = f"{count(lost - slivers, 'measures', 'measure')} a pixel or more in the annotations: "
    shrunk += "the images are shrunk."
    return f"{shrunk} {thin}" if slivers else shrunk


def _enlarge(context: Context) -> tuple[list[int], float]:
    """The smallest input (H, W), up to four times as large, that leaves a tenth of these objects at
    most, or no more than the largest does; and the share that it leaves."""
    tried = []
    for factor in _FACTORS:
        height, width = (32 * math.ceil(factor * edge / 32) for edge in context.image_size)
        side = as_seen(context.objects.fair, (height, width)).wh.min(axis=1)
        tried.append(([height, width], float((side < 1).mean())))
    before = float((context.seen.fair.wh.min(axis=1) < 1).mean())
    enough = max(tried[-1][1], 0.1 * before)
    return next((larger, left) for larger, left in tried if left <= enough)
