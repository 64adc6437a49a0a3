"""A second look: every image mirrored as well, and what both looks find joined."""

from collections.abc import Callable

import torch
from torch import Tensor

from kedge.detectors.detector import Detector
from kedge.export.opened import Exported
from kedge.select import NMS, KeepAll, Suppression

Rows = list[dict[str, Tensor]]
Look = Callable[[Tensor | list[Tensor]], Rows]


def both_ways(look: Look, suppress: Suppression, most: int | None) -> Look:
    """``look``, at the images and at their mirror images.

    ``suppress`` removes what both found, within a class; of an image the best ``most`` stay.

    Source: Law and Deng, arXiv:1808.01244, section 4.2. Deviation: each look has its own
    suppression before, where CornerNet joins what is not suppressed yet.
    """

    def answer(images: Tensor | list[Tensor]) -> Rows:
        turned = images.flip(-1) if isinstance(images, Tensor) else [i.flip(-1) for i in images]
        joined = []
        for image, one, other in zip(images, look(images), look(turned), strict=True):
            other = other | {"boxes": _mirrored(other["boxes"], image.shape[-1])}
            rows = {key: torch.cat([one[key], other[key]]) for key in ("boxes", "labels", "scores")}
            left = suppress(rows["boxes"], rows["scores"], rows["labels"])
            labels = rows["labels"][left.rows]
            row = {"boxes": left.boxes, "labels": labels, "scores": left.scores}
            joined.append({key: value[:most] for key, value in row.items()})
        return joined

    return answer


def suppression_of(detector: Detector | Exported) -> Suppression:
    """What removes duplicates in a detector; NMS at 0.5 where it has none, or is exported."""
    last = detector.selecting if isinstance(detector, Detector) else None
    own = KeepAll() if last is None else last.selection.suppress
    return NMS() if isinstance(own, KeepAll) else own


def _mirrored(boxes: Tensor, width: int) -> Tensor:
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack([width - x2, y1, width - x1, y2], dim=-1)
