"""Detections of a trained detector: of a data set, on the CPU, in original pixels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from kedge.data import Data, DetectionDataset, collate, eval_transforms, to_original
from kedge.data.transforms import Target
from kedge.detectors.detector import Detector, Proposes
from kedge.detectors.on_proposals import OnProposals
from kedge.predict.proposals import given_to
from kedge.proposals.kept import Proposals
from kedge.types import Detections

Rows = list[dict[str, Tensor]]


def pick_device() -> torch.device:
    """The accelerator, where there is one."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return accelerator or torch.device("cpu")


def detect(
    detector: Detector,
    data: Data,
    image_size: tuple[int, int],
    *,
    batch_size: int = 16,
    workers: int = 0,
    device: torch.device | None = None,
    progress: Callable[[int], None] | None = None,
    proposals: Path | None = None,
) -> Rows:
    """Detections, one dictionary per record, on the CPU.

    ``boxes`` (n, 4) xyxy in pixels of the *original* image, ``labels`` (n,) 0-based, ``scores``
    (n,), best first.

    `image_size`: (H, W) of the network's input; images are letterboxed into it. `progress` is told
    the number of images after each batch. `proposals`: the file that keeps what a source found,
    for detectors that are given such boxes. The detector returns to the mode and device it had.
    """
    given = given_to(detector, data, proposals)

    def answer(images: Tensor, targets: list[Target]) -> Detections:
        if given is None:
            return detector.detect(images)
        assert isinstance(detector, OnProposals)
        return detector.detect(images, proposals=given(targets, images))

    dataset = DetectionDataset(data, eval_transforms(image_size), cache=False)
    loader = DataLoader(dataset, batch_size, num_workers=workers, collate_fn=collate)
    return _ask(detector, loader, answer, device or pick_device(), progress)


def propose(
    detector: Proposes,
    data: Data,
    image_size: tuple[int, int],
    *,
    batch_size: int = 16,
    workers: int = 0,
    device: torch.device | None = None,
    proposals: Path | None = None,
) -> Rows:
    """The proposals of a detector's first stage, or of its source: see ``detect``."""
    if isinstance(detector, OnProposals):
        found = Proposals(detector.source, proposals)(data.records)
        pairs = ((torch.from_numpy(boxes), torch.from_numpy(scores)) for boxes, scores in found)
        return [{"boxes": boxes, "scores": scores} for boxes, scores in pairs]
    assert isinstance(detector, Detector)
    dataset = DetectionDataset(data, eval_transforms(image_size), cache=False)
    loader = DataLoader(dataset, batch_size, num_workers=workers, collate_fn=collate)
    return _ask(
        detector, loader, lambda images, _: detector.propose(images), device or pick_device(), None
    )


@torch.no_grad()
def _ask(
    detector: Detector,
    loader: DataLoader[Any],
    answer: Callable[[Tensor, list[Target]], Detections],
    device: torch.device,
    progress: Callable[[int], None] | None,
) -> Rows:
    was_training, home = detector.training, next(detector.parameters()).device
    detector.eval().to(device)
    found: Rows = []
    try:
        for images, targets in loader:
            outputs = answer(images.to(device), targets).to_list()
            for output, target in zip(outputs, targets, strict=True):
                row = {key: output[key].cpu() for key in ("boxes", "labels", "scores")}
                row["boxes"] = to_original(row["boxes"], target)
                found.append(row)
            if progress is not None:
                progress(len(targets))
    finally:
        detector.train(was_training).to(home)
    return found


def above(row: dict[str, Tensor], min_score: float) -> dict[str, Tensor]:
    """The detections of one image that score at least `min_score`."""
    keep = row["scores"] >= min_score
    return {key: value[keep] for key, value in row.items()}
