"""Decoded images in memory that the worker processes of a data loader share."""

import mmap

import numpy as np


class PixelCache:
    """uint8 images of known sizes, in one anonymous memory map.

    Workers that were forked share it, so an image is decoded once for all of them and memory is
    used once; pages that nothing was written to cost nothing. A pickled cache (spawned workers)
    starts empty in its new process. Images beyond `limit` bytes are not kept.
    """

    def __init__(self, sizes: list[tuple[int, int]], limit: int) -> None:
        self._sizes, self._limit = sizes, limit
        ends = np.cumsum([height * width * 3 for height, width in sizes], dtype=np.int64)
        self._kept = int(np.searchsorted(ends, limit, side="right"))
        self._start = [0, *ends[: self._kept].tolist()]
        self._map = mmap.mmap(-1, max(1, self._kept + self._start[-1]))
        everything = np.frombuffer(self._map, np.uint8)
        self._ready, self._pixels = everything[: self._kept], everything[self._kept :]

    def __reduce__(self) -> tuple[type["PixelCache"], tuple[list[tuple[int, int]], int]]:
        return PixelCache, (self._sizes, self._limit)

    def get(self, index: int) -> np.ndarray | None:
        """A copy of the image (H, W, 3), or None when it is not here (yet)."""
        if index >= self._kept or not self._ready[index]:
            return None
        height, width = self._sizes[index]
        place = slice(self._start[index], self._start[index + 1])
        return self._pixels[place].reshape(height, width, 3).copy()

    def put(self, index: int, image: np.ndarray) -> None:
        """Keep an image (H, W, 3) of the size announced, if there is room."""
        if index < self._kept:
            assert image.shape == (*self._sizes[index], 3)
            assert image.dtype == np.uint8
            self._pixels[self._start[index] : self._start[index + 1]] = image.reshape(-1)
            self._ready[index] = 1  # last: another process may be looking
