"""The upright boxes around turned ones. Whoever reads one counts it in a finding: its angle is
not used."""

import math
from collections.abc import Sequence

Box = tuple[float, float, float, float]
MESSAGE = "the box is turned: the upright one around it is read, the angle is not used"


def around(box: Sequence[float], degrees: float, size: tuple[float, float]) -> Box:
    """The upright box around `box` (xyxy pixels) turned about its centre, cut off at the border of
    an image of `size` (width, height; 0: not known): what reaches beyond is the turning's doing.

    NaN where the angle is not finite; a box that is none (flipped, not finite) stays as it is.
    """
    x1, y1, x2, y2 = map(float, box)
    if not (0 <= x2 - x1 < math.inf and 0 <= y2 - y1 < math.inf):
        return (x1, y1, x2, y2)
    if not math.isfinite(degrees):
        return (math.nan, math.nan, math.nan, math.nan)
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    width = (x2 - x1) * cosine + (y2 - y1) * sine
    height = (x2 - x1) * sine + (y2 - y1) * cosine
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    right, low = (side or math.inf for side in size)
    return (
        max(x - width / 2, min(x1, 0.0)),
        max(y - height / 2, min(y1, 0.0)),
        min(x + width / 2, max(x2, right)),
        min(y + height / 2, max(y2, low)),
    )


def is_turned(corners: Sequence[tuple[float, float]]) -> bool:
    """Whether four corners, in order, are not those of an upright rectangle."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners
    wide = ay == by and cy == dy and bx == cx and ax == dx
    high = ax == bx and cx == dx and by == cy and ay == dy
    return not (wide or high)
