"""CascadeHead: region heads in a row, each for boxes better than those of the one before."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from kedge.anchors import Boxes
from kedge.boxes import clipped
from kedge.boxes import sizes as sides
from kedge.detectors.regions import RegionHead
from kedge.detectors.stage import Outcome
from kedge.select import Selection
from kedge.types import Detections, Predictions, Targets


class CascadeHead(nn.Module):
    """A second stage of several heads; the losses of head k are called ``classification_k`` and
    ``box_k``, from 1.

    In training a head assigns and samples by itself; the boxes of its sample, as it corrects them,
    and the objects are what the next one is given. In evaluation every head speaks of every box:
    the score is the mean of what they say, each of its own boxes, and the box is the last one's.
    Heads give one box for all classes.

    Source: Cai and Vasconcelos, arXiv:1712.00726, section 4; which boxes go on is MMDetection's
    form (what an object itself was corrected to does not; Detectron2 does not sample again).
    """

    def __init__(self, heads: Sequence[RegionHead], selection: Selection) -> None:
        super().__init__()
        self.heads, self.selection = nn.ModuleList(heads), selection

    def losses(
        self,
        maps: list[Tensor],
        boxes: Boxes,
        targets: Targets,
        sizes: Tensor,
        progress: float = 0.0,
    ) -> Outcome:
        """The losses of all heads; ``boxes`` with the objects, images of ``sizes`` (B, 2)."""
        named = {}
        for number, head in enumerate(self.heads, start=1):
            assert isinstance(head, RegionHead)
            outcome, found = head.learn(maps, boxes, targets, progress)
            named |= {f"{name}_{number}": loss for name, loss in outcome.losses.items()}
            boxes = next_boxes(found, targets, sizes).with_objects(targets)
        return Outcome(named)

    @torch.no_grad()
    def detect(self, maps: list[Tensor], boxes: Boxes, sizes: Tensor) -> Detections:
        """The detections among boxes, clipped to ``sizes`` (B, 2)."""
        said = []
        for head in self.heads:
            assert isinstance(head, RegionHead)
            found = head.predict(maps, boxes)
            said.append(found.classes.probability(found.class_rows))
            boxes = replace(boxes, anchor_boxes=corrected(found, sizes))
        return self.selection(found, torch.stack(said).mean(0), sizes)


def corrected(found: Predictions, sizes: Tensor) -> Tensor:
    """(M, 4) the boxes that a head makes of those it was given, within images of ``sizes``."""
    rows = torch.arange(len(found), device=found.logits.device)
    assert found.anchors is not None
    return clipped(found.boxes_at(rows), sizes[found.anchors.image_of(rows)])


@torch.no_grad()
def next_boxes(found: Predictions, targets: Targets, sizes: Tensor) -> Boxes:
    """What the next head is trained with: corrected boxes with an area, of all that are no object
    themselves."""
    boxes = found.anchors
    assert isinstance(boxes, Boxes)
    better = corrected(found, sizes)
    good = (sides(better) > 0).all(1)
    good[boxes.overlapping(targets, 1.0).anchor] = False
    rows = good.nonzero()[:, 0]
    return replace(boxes.select(rows), anchor_boxes=better[rows])
