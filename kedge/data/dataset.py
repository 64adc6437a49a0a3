"""The torch data set over records, and the function that makes batches of its items."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from kedge.data.cache import PixelCache
from kedge.data.images import decode
from kedge.data.records import Data, Record
from kedge.data.transforms import FILL, Pipeline, Target, Transform, as_boxes

CACHE_LIMIT = 4 * 2**30


class DetectionDataset(Dataset[tuple[Tensor, Target]]):
    """Items (image, target) of a data set, transformed.

    The image is (3, H, W), uint8 (float if the transform makes it so); the target holds `boxes`
    (n, 4) float32 xyxy pixels of that image, `labels` (n,) int64, `iscrowd` (n,) bool,
    `image_id` int, `original_size` (2,) int64 height and width, and `letterbox` (4,) float32:
    see `to_original`; and `extremes` (n, 4) float32 where the record has them.

    An item is a pure function of (seed, epoch, index): torch's random state is set from them
    for the transform and put back, so neither the number of workers nor resuming a run changes
    anything. Transforms must draw from torch's default generator, as all of v2 does.
    `set_epoch` reaches workers that are already running.

    cache: keep decoded images (after the `fit` of a `Pipeline`, else whole) in memory shared by
    forked workers, up to `cache_limit` bytes; the rest is decoded every time.
    """

    def __init__(
        self,
        data: Data,
        transform: Transform | None = None,
        seed: int = 0,
        cache: bool = True,
        cache_limit: int = CACHE_LIMIT,
    ) -> None:
        self.data, self.transform, self.seed = data, transform, seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._fit = transform.fit if isinstance(transform, Pipeline) else None
        self._cache = PixelCache([self._size(r) for r in data.records], cache_limit * cache)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose augmentation the next items get. Call before iterating."""
        self._epoch.fill_(epoch)

    @property
    def epoch(self) -> int:
        """The epoch in force."""
        return int(self._epoch)

    def __len__(self) -> int:
        return len(self.data.records)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of a data set of {len(self)}")
        index %= len(self)
        record = self.data.records[index]
        image = tv_tensors.Image(torch.from_numpy(self._pixels(index, record)).permute(2, 0, 1))
        target = target_of(record)
        if isinstance(self.transform, Pipeline):
            target = self.transform.fit.target(target, record.height, record.width)
        state = torch.get_rng_state()
        words = np.random.SeedSequence([self.seed, self.epoch, index]).generate_state(1, np.uint64)
        torch.default_generator.manual_seed(int(words[0] >> np.uint64(1)))
        try:
            if isinstance(self.transform, Pipeline):
                for transform in self.transform.rest:
                    image, target = transform(image, target)
            elif self.transform is not None:
                image, target = self.transform(image, target)
        finally:
            torch.set_rng_state(state)
        return image.as_subclass(Tensor), {**target, "boxes": target["boxes"].as_subclass(Tensor)}

    def _size(self, record: Record) -> tuple[int, int]:
        """Height and width of what is cached."""
        if self._fit is None:
            return (record.height, record.width)
        return self._fit.placement(record.height, record.width).outer

    def _pixels(self, index: int, record: Record) -> np.ndarray:
        """(H, W, 3) uint8: decoded, and fitted where the transform begins with that."""
        kept = self._cache.get(index)
        if kept is not None:
            return kept
        pixels = decode(record)
        if self._fit is not None:
            image = tv_tensors.Image(torch.from_numpy(pixels).permute(2, 0, 1))
            pixels = self._fit.pixels(image).permute(1, 2, 0).contiguous().numpy()
        self._cache.put(index, pixels)
        return pixels


def target_of(record: Record) -> Target:
    size = (record.height, record.width)
    boxes = torch.from_numpy(record.boxes.astype(np.float32).reshape(-1, 4))
    target: Target = {
        "boxes": as_boxes(boxes, size),
        "labels": torch.from_numpy(record.labels.astype(np.int64)),
        "iscrowd": torch.from_numpy(record.crowd.astype(bool)),
        "image_id": record.image_id,
        "original_size": torch.tensor(size),
        "letterbox": torch.tensor([1.0, 1.0, 0.0, 0.0]),
    }
    if record.extremes is not None:
        target["extremes"] = torch.from_numpy(record.extremes.astype(np.float32).reshape(-1, 4))
    return target


def collate(batch: list[tuple[Tensor, Target]], multiple: int = 1) -> tuple[Tensor, list[Target]]:
    """Make a batch: images (B, 3, H, W) float32 in [0, 1], and the list of targets.

    Images of different size are padded with grey on the right and at the bottom to the largest
    height and width, rounded up to a multiple of `multiple` (a network's stride). uint8 images
    are divided by 255; float images are taken to be in [0, 1] already.
    """
    if not batch:
        raise ValueError("an empty batch cannot be collated: give at least one item")
    images = [image for image, _ in batch]
    height = -(-max(image.shape[-2] for image in images) // multiple) * multiple
    width = -(-max(image.shape[-1] for image in images) // multiple) * multiple
    out = torch.full((len(images), 3, height, width), FILL / 255)
    for place, image in zip(out, images, strict=True):
        part = place[:, : image.shape[-2], : image.shape[-1]]
        part.copy_(image)
        if image.dtype == torch.uint8:
            part.div_(255)
    return out, [target for _, target in batch]
