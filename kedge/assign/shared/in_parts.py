"""Many objects a part at a time, for what every object decides alone."""

from collections.abc import Callable

import torch

from kedge.anchors.pairs import Pairs
from kedge.types import Targets

PART = 1 << 15  # objects; with some fifty pairs each a column of pairs still lies in the cache


def in_parts(targets: Targets, choose: Callable[[Targets], Pairs]) -> Pairs:
    """``choose(targets)``, or where they are many the pairs that it chooses of some at a time.

    What it does must not depend on other objects than a pair's own. Then only the pairs that it
    keeps are there for all at once, and those that it looks at for one part: less memory, and that
    soon in the cache.
    """
    if len(targets) <= PART:
        return choose(targets)
    starts = range(0, len(targets), PART)
    parts = [choose(targets.between(start, start + PART)) for start in starts]
    known = [part._iou for part in parts]
    return Pairs(
        anchors=parts[0].anchors,
        targets=targets,
        anchor=torch.cat([part.anchor for part in parts]),
        target=torch.cat([part.target + start for start, part in zip(starts, parts)]),
        _iou=torch.cat([iou for iou in known if iou is not None]) if None not in known else None,
    )
