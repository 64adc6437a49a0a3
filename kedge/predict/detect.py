"""Detections of a trained detector: of a data set, on the CPU, in original pixels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from kedge.data import Data, DetectionDataset, collate, eval_transforms, to_original
from kedge.data.transforms import Target
from kedge.detectors.detector import Detector, HasProposals
from kedge.detectors.on_proposals import OnProposals
from kedge.detectors.predict import evaluating
from kedge.export.opened import Exported
from kedge.predict.mirrored import Look, both_ways, suppression_of
from kedge.predict.proposals import given_to
from kedge.proposals.kept import Proposals

Rows = list[dict[str, Tensor]]


def pick_device() -> torch.device:
    """The accelerator, where there is one."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return accelerator or torch.device("cpu")


def detect(
    detector: Detector | Exported,
    data: Data,
    image_size: tuple[int, int] | None,
    *,
    batch_size: int = 16,
    workers: int = 0,
    device: torch.device | None = None,
    progress: Callable[[int], None] | None = None,
    proposals: Path | None = None,
    mirrored: bool = False,
) -> Rows:
    """Detections, one dictionary per record, on the CPU.

    ``boxes`` (n, 4) xyxy in pixels of the *original* image, ``labels`` (n,) 0-based, ``scores``
    (n,), best first.

    `image_size`: (H, W) of the network's input; images are letterboxed into it. None: a detector
    that came from elsewhere resizes them itself. `progress` is told the number of images after each
    batch. `proposals`: the file that keeps what a source found, for detectors that are given such
    boxes. `mirrored`: look at every image twice, see ``both_ways``. The detector returns to the
    mode and device it had; an exported one stays on the CPU.
    """
    given = given_to(detector, data, proposals) if isinstance(detector, Detector) else None
    if mirrored and given is not None:
        raise ValueError("mirrored: boxes that are given belong to the image as it is")
    look: Look = detector
    if mirrored:
        most = detector.most if isinstance(detector, Detector) else None
        look = both_ways(detector, suppression_of(detector), most)

    def answer(images: Tensor | list[Tensor], targets: list[Target]) -> Rows:
        if given is None:
            return look(images)
        assert isinstance(detector, OnProposals)
        assert isinstance(images, Tensor), "proposals are moved with the letterboxed image"
        return detector.detect(images, proposals=given(targets, images)).to_list()

    loader = _loader(data, image_size, batch_size, workers)
    return _ask(detector, loader, answer, device or pick_device(), progress)


def propose(
    detector: HasProposals,
    data: Data,
    image_size: tuple[int, int] | None,
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
    if image_size is None:
        raise ValueError("proposals: this detector resizes images itself; give it an input_size")
    loader = _loader(data, image_size, batch_size, workers)

    def answer(images: Tensor | list[Tensor], targets: list[Target]) -> Rows:
        assert isinstance(images, Tensor)
        return detector.propose(images).to_list()

    return _ask(detector, loader, answer, device or pick_device(), None)


def _loader(
    data: Data, image_size: tuple[int, int] | None, batch_size: int, workers: int
) -> DataLoader[Any]:
    transform = None if image_size is None else eval_transforms(image_size)
    dataset = DetectionDataset(data, transform, cache=False)
    join = apart if transform is None else collate
    return DataLoader(dataset, batch_size, num_workers=workers, collate_fn=join)


@contextmanager
def ready(detector: Detector | Exported, device: torch.device) -> Iterator[torch.device]:
    """A detector in evaluation on `device`, back as it was afterwards; an exported one is always
    ready, on the CPU. Gives the device that images are wanted on."""
    if isinstance(detector, Exported):
        yield torch.device("cpu")
        return
    home = next(detector.parameters()).device
    detector.to(device)
    try:
        with evaluating(detector):
            yield device
    finally:
        detector.to(home)


def _ask(
    detector: Detector | Exported,
    loader: DataLoader[Any],
    answer: Callable[[Tensor | list[Tensor], list[Target]], Rows],
    device: torch.device,
    progress: Callable[[int], None] | None,
) -> Rows:
    found: Rows = []
    with ready(detector, device) as place:
        for images, targets in loader:
            whole = isinstance(images, Tensor)
            moved = images.to(place) if whole else [image.to(place) for image in images]
            outputs = answer(moved, targets)
            for output, target in zip(outputs, targets, strict=True):
                row = {key: output[key].cpu() for key in ("boxes", "labels", "scores")}
                row["boxes"] = to_original(row["boxes"], target)
                found.append(row)
            if progress is not None:
                progress(len(targets))
    return found


def apart(batch: list[tuple[Tensor, Target]]) -> tuple[list[Tensor], list[Target]]:
    """Images (3, H, W) of bytes, of any sizes, as floats in [0, 1], and their targets."""
    return [image.float() / 255 for image, _ in batch], [target for _, target in batch]


def above(row: dict[str, Tensor], min_score: float) -> dict[str, Tensor]:
    """The detections of one image that score at least `min_score`."""
    keep = row["scores"] >= min_score
    return {key: value[keep] for key, value in row.items()}
