"""Batches of real images, small, with an empty one among them."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kedge.data import read
from kedge.data.images import decode

NAMES = ("bccd", "coco_permissive", "aerial_cars", "hit_uav")


def batch(folder: Path, name: str, size: tuple[int, int], images: int = 3) -> tuple[Tensor, list]:
    """Pixels (B, 3, H, W) in [0, 1] and targets with labels from 0; the last image is empty."""
    if not (folder / name).is_dir():
        pytest.skip(f"no real data: {folder / name} does not exist")
    records = read(folder / name, "val", "drop").records
    records = sorted(records, key=lambda r: -len(r.boxes))[: 2 * images : 2]
    pixels, targets = [], []
    for record in records:
        image = torch.tensor(decode(record)).permute(2, 0, 1)[None].float() / 255
        pixels.append(F.interpolate(image, size, mode="bilinear", antialias=True)[0])
        scale = torch.tensor([size[1] / record.width, size[0] / record.height]).repeat(2)
        keep = torch.tensor(~record.crowd)
        boxes = (torch.tensor(record.boxes) * scale)[keep]
        targets.append({"boxes": boxes, "labels": torch.tensor(record.labels)[keep]})
    pixels.append(torch.full((3, *size), 0.5))
    targets.append({"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)})
    return torch.stack(pixels), targets
