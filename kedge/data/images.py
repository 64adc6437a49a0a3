"""Image files: look at one without decoding it, and decode one."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kedge.data.records import Record

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
_ORIENTATION = 0x0112  # the EXIF tag
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error)  # Pillow raises them all
_ENDINGS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


@dataclass(frozen=True, slots=True)
class Look:
    """The stored size of an image file, and whether its EXIF orientation swaps the sides."""

    width: int
    height: int
    swaps: bool


def look(file: Path) -> Look:
    """Read the header; decode only a file whose end does not look like the end of an image.

    A JPEG or PNG that ends with its end marker is taken to be complete. Raises OSError (with
    Pillow's own words) for a file that is no image, or is truncated.
    """
    from PIL import Image

    try:
        with Image.open(file) as image:
            found = Look(*image.size, image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8))
            ending = _ENDINGS.get(image.format or "")
            if ending is None or ending not in _tail(file):
                image.load()  # the only sure test
    except (*_BROKEN, Image.DecompressionBombError) as problem:
        raise OSError(str(problem)) from problem
    return found


def decode(record: Record) -> np.ndarray:
    """The pixels of a record, (H, W, 3) uint8 RGB, its EXIF orientation applied.

    Raises ValueError naming the file when it cannot be decoded, when there is none, or when
    its size is no longer the one that was read with the annotations.
    """
    if record.draw is not None:
        return record.draw()
    if record.file is None:
        raise ValueError(f"image {record.name!r} has boxes only: there is no file to decode")
    try:
        pixels = _pixels(record.file, record.upright)
    except _BROKEN as problem:
        raise ValueError(
            f"{record.file}: cannot be decoded ({problem}); replace the file, or read the data "
            'with on_bad_box="drop"'
        ) from problem
    if pixels.shape[:2] != (record.height, record.width):
        raise ValueError(
            f"{record.file}: is {pixels.shape[1]} x {pixels.shape[0]} pixels, but its "
            f"annotations say {record.width} x {record.height}; correct them or the file"
        )
    return pixels


def _pixels(file: Path, upright: bool) -> np.ndarray:
    from PIL import Image, ImageOps

    with Image.open(file) as image:
        turned = ImageOps.exif_transpose(image) if upright else image
        if turned.mode.startswith("I;16"):  # convert("RGB") would clip 16 bits at 255
            grey = (np.asarray(turned) >> 8).astype(np.uint8)
            return np.repeat(grey[:, :, None], 3, axis=2)
        return np.array(turned.convert("RGB"))


def _tail(file: Path, size: int = 64) -> bytes:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - size))
        return stream.read()
