"""Proposals of a data set: given to a detector that needs them, and those that a detector makes."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from kedge.anchors import Boxes
from kedge.data import Data
from kedge.data.transforms import Target, from_original
from kedge.detectors.detector import Detector
from kedge.detectors.on_proposals import OnProposals
from kedge.proposals.kept import Proposals


class Given:
    """The boxes of ``proposals`` for the images of a data set, found in the original images."""

    def __init__(self, data: Data, proposals: Proposals) -> None:
        found = proposals(data.records)
        self._boxes = {
            record.image_id: torch.from_numpy(boxes)
            for record, (boxes, _) in zip(data.records, found, strict=True)
        }

    def __call__(self, targets: Sequence[Target], images: Tensor) -> Boxes:
        """For a batch of images (B, 3, H, W) as a network sees them, moved with their objects."""
        size = (images.shape[-2], images.shape[-1])
        rows = [from_original(self._boxes[t["image_id"]], t, size) for t in targets]
        return Boxes.from_list([boxes.to(images.device) for boxes in rows])


def given_to(detector: Detector, data: Data, file: Path | None = None) -> Given | None:
    """What the detector is to be given for `data`, kept in `file`; None where it needs nothing."""
    if not isinstance(detector, OnProposals):
        return None
    return Given(data, Proposals(detector.source, file))
