"""Image files: look at one without decoding it, and decode one."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kedge.data.pixel_range import WIDE, as_bytes, black_white, extremes_of
from kedge.data.records import Record

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".webp", ".avif")
SUFFIXES += (".tif", ".tiff", ".gif", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm")
LIMIT = "KEDGE_MAX_PIXELS"  # the environment variable that raises the limit
_PIXELS = 2**28  # 16,384 x 16,384
_VERIFIED = 2**25  # a larger image is not decoded only to find out whether it is whole
_ORIENTATION = 0x0112  # the EXIF tag
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, LookupError, TypeError)
_BROKEN += (ArithmeticError, MemoryError, AttributeError, RuntimeError)  # Pillow raises them all
_ENDINGS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


@dataclass(frozen=True, slots=True)
class Look:
    """The stored size of an image file, its EXIF orientation (1 to 8; 1: as stored), Pillow's
    mode, the extremes of its values where these are more than 8 bits wide, and whether frames or
    pages follow the first."""

    width: int
    height: int
    orientation: int = 1
    mode: str = "RGB"
    extremes: tuple[float, float] | None = None
    more_frames: bool = False

    @property
    def swaps(self) -> bool:
        """Whether the orientation swaps the sides."""
        return self.orientation >= 5


def look(file: Path) -> Look:
    """Read the header; decode only a file whose end does not look like the end of an image, and
    one whose values are wider than 8 bits.

    A JPEG or PNG that ends with its end marker is taken to be complete, and so is an image of more
    than 32 million pixels. Raises OSError (with Pillow's own words) for a file that is no image, is
    truncated, or is larger than the limit.
    """
    try:
        with _opened(file) as image:
            orientation = image.getexif().get(_ORIENTATION, 1)
            extremes = None
            ending = _ENDINGS.get(image.format or "")
            if image.width * image.height <= _VERIFIED:
                if image.mode in WIDE:
                    extremes = extremes_of(np.asarray(image))
                elif ending is None or ending not in _tail(file):
                    image.load()  # the only sure test
            return Look(
                *image.size,
                orientation=orientation if orientation in range(1, 9) else 1,
                mode=image.mode,
                extremes=extremes,
                more_frames=image.format in ("GIF", "TIFF", "WEBP") and _has_more(image),
            )
    except _BROKEN as problem:
        raise OSError(str(problem) or repr(problem)) from problem


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
        pixels = _pixels(record)
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


def _pixels(record: Record) -> np.ndarray:
    from PIL import ImageOps

    assert record.file is not None
    with _opened(record.file) as image:
        turned = ImageOps.exif_transpose(image) if record.upright else image
        if turned.mode not in WIDE:
            return np.array(turned.convert("RGB"))
        values = np.asarray(turned)
        shown = record.black_white or black_white(turned.mode, *extremes_of(values))
        return np.repeat(as_bytes(values, shown)[:, :, None], 3, axis=2)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """The image, opened under our own limit: Pillow's cannot be told from a broken file."""
    from PIL import Image

    if not file.is_file():  # opening a pipe would wait for ever
        raise OSError("it is no regular file")
    theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(file) as image:
            _check_limit(image.width, image.height)
            yield image
    finally:
        Image.MAX_IMAGE_PIXELS = theirs


def _check_limit(width: int, height: int) -> None:
    text = os.environ.get(LIMIT, str(_PIXELS))
    if not text.isdecimal():
        raise OSError(f"the environment variable {LIMIT} must be a number of pixels, not {text!r}")
    if width * height > int(text):
        raise OSError(
            f"{width} x {height} pixels are more than the limit of {int(text):,}: cut the image "
            f"into tiles, or set {LIMIT}={width * height}"
        )


def _has_more(image: Any) -> bool:
    try:
        image.seek(1)
    except EOFError:
        return False
    except _BROKEN:  # there are more, and they are damaged
        return True
    return True


def _tail(file: Path, size: int = 64) -> bytes:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - size))
        return stream.read()
