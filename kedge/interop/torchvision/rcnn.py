"""The seams of torchvision's R-CNNs: the region proposal network and the box part of the heads."""

import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork

from kedge.anchors.boxes import Boxes
from kedge.interop.torchvision.seam import Seam, pack
from kedge.types import Assignment


class RPNTargets(Seam):
    """``RegionProposalNetwork.assign_targets_to_anchors``, which hands over no predictions."""

    peer = RegionProposalNetwork
    method = "assign_targets_to_anchors"
    arguments = ("anchors", "targets")

    def __call__(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        boxes = [target["boxes"] for target in targets]
        if self.few(boxes, anchors):
            return self.theirs(anchors, targets)
        found = self.assign(self.anchors(anchors[0]), pack(targets))
        index = found.dense()
        labels = (index >= 0).float().masked_fill_(index == -2, -1.0)
        rows = index.clamp(min=0)
        matched = [
            box[row] if len(box) else torch.zeros_like(anchor, dtype=torch.float32)
            for box, row, anchor in zip(boxes, rows, anchors)
        ]
        return list(labels), matched


class ProposalTargets(Seam):
    """``RoIHeads.assign_targets_to_proposals``: one join for the proposals of the whole batch."""

    peer = RoIHeads
    method = "assign_targets_to_proposals"
    arguments = ("proposals", "gt_boxes", "gt_labels")
    table = 800_000

    def __call__(
        self, proposals: list[Tensor], gt_boxes: list[Tensor], gt_labels: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        finite = bool(torch.isfinite(torch.cat(proposals)).all())
        if not finite or self.few(gt_boxes, proposals):
            return self.theirs(proposals, gt_boxes, gt_labels)
        targets = [{"boxes": b, "labels": n} for b, n in zip(gt_boxes, gt_labels)]
        found = self.assign(Boxes.from_list(proposals), pack(targets))
        return _by_image(found, [len(part) for part in proposals])


def _by_image(found: Assignment, counts: list[int]) -> tuple[list[Tensor], list[Tensor]]:
    """The object of every proposal, 0 where there is none, and its label: 0 background, -1
    ignored."""
    index = torch.zeros(found.total, dtype=torch.int64, device=found.anchor.device)
    labels = torch.zeros_like(index)
    index[found.anchor] = found.target - found.targets.first[found.image]
    labels[found.anchor] = found.labels
    labels[found.ignored] = -1
    return list(index.split(counts)), list(labels.split(counts))
