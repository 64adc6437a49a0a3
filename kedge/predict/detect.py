"""Detections of a trained detector: of a data set, on the CPU, in original pixels."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from kedge.data import Data, DetectionDataset, collate, eval_transforms, to_original
from kedge.data.transforms import Target
from kedge.detectors.detector import Detector

Rows = list[dict[str, Tensor]]


def pick_device() -> torch.device:
    """The accelerator, where there is one."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return accelerator or torch.device("cpu")


@torch.no_grad()
def detect(
    detector: Detector,
    data: Data,
    image_size: tuple[int, int] | None,
    *,
    batch_size: int = 16,
    workers: int = 0,
    device: torch.device | None = None,
    progress: Callable[[int], None] | None = None,
) -> Rows:
    """Detections, one dictionary per record, on the CPU.

    ``boxes`` (n, 4) xyxy in pixels of the *original* image, ``labels`` (n,) 0-based, ``scores``
    (n,), best first.

    `image_size`: (H, W) of the network's input; images are letterboxed into it. None: a detector
    that came from elsewhere resizes them itself. `progress` is told the number of images after each
    batch. The detector returns to the mode and device it had.
    """
    device = device or pick_device()
    transform = None if image_size is None else eval_transforms(image_size)
    dataset = DetectionDataset(data, transform, cache=False)
    join = apart if transform is None else collate
    loader = DataLoader(dataset, batch_size, num_workers=workers, collate_fn=join)
    was_training, home = detector.training, next(detector.parameters()).device
    detector.eval().to(device)
    found: Rows = []
    try:
        for images, targets in loader:
            whole = isinstance(images, Tensor)
            outputs = detector(images.to(device) if whole else [x.to(device) for x in images])
            for output, target in zip(outputs, targets, strict=True):
                row = {key: output[key].cpu() for key in ("boxes", "labels", "scores")}
                row["boxes"] = to_original(row["boxes"], target)
                found.append(row)
            if progress is not None:
                progress(len(targets))
    finally:
        detector.train(was_training).to(home)
    return found


def apart(batch: list[tuple[Tensor, Target]]) -> tuple[list[Tensor], list[Target]]:
    """Images (3, H, W) of bytes, of any sizes, as floats in [0, 1], and their targets."""
    return [image.float() / 255 for image, _ in batch], [target for _, target in batch]


def above(row: dict[str, Tensor], min_score: float) -> dict[str, Tensor]:
    """The detections of one image that score at least `min_score`."""
    keep = row["scores"] >= min_score
    return {key: value[keep] for key, value in row.items()}
