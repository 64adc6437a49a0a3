"""What a user calls an image: a path, a Pillow image, an array or a tensor, read as one tensor."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from kedge.detectors.images import check_range

if TYPE_CHECKING:
    from kedge.data import Record

_TAKEN = "a path, a Pillow image, an array (H, W, 3) or (H, W), or a tensor (3, H, W)"


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Says which extra to install where an import inside the block fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("kedge"):
            raise
        raise ImportError(
            f"{what} needs {error.name}, which is not installed: pip install 'kedge[{name}]'"
        ) from error


def read_picture(image: Any) -> Tensor:
    """(3, H, W) on the CPU, uint8 or float32 in [0, 1], of anything that shows an image.

    The EXIF orientation of files and Pillow images is applied. Grey becomes three equal channels.

    Raises ``ValueError`` for a file that cannot be read (naming it), another shape or dtype, values
    outside of [0, 1] or NaN in a float image, and a Pillow image of more than 8 bits.
    """
    if isinstance(image, (str, os.PathLike)):
        return _of_file(Path(image))
    if isinstance(image, Tensor):
        return _checked(_of_tensor(image.detach().cpu()))
    if isinstance(image, np.ndarray):
        return _checked(_of_array(image))
    if hasattr(image, "getexif") and hasattr(image, "convert"):  # without importing Pillow
        return _of_pillow(image)
    raise ValueError(f"an image is {_TAKEN}, not {type(image).__name__}")


def record_of(file: Path, number: int = 1) -> "Record":
    """An image file as a record without objects; ``ValueError`` names one that cannot be read."""
    with extra("data", "reading an image file"):
        from kedge.data import Record
        from kedge.data.images import look
    try:
        seen = look(file)
    except OSError as error:
        raise ValueError(f"{file}: not an image that can be read ({error})") from None
    width, height = (seen.height, seen.width) if seen.swaps else (seen.width, seen.height)
    return Record(
        file=file,
        width=width,
        height=height,
        boxes=np.zeros((0, 4), np.float32),
        labels=np.zeros(0, np.int64),
        crowd=np.zeros(0, np.bool_),
        image_id=number,
        name=file.name,
    )


def _of_file(file: Path) -> Tensor:
    if not file.is_file():
        raise ValueError(f"{file}: no such image file")
    record = record_of(file)
    from kedge.data.images import decode

    return _channels_first(decode(record))


def _of_pillow(image: Any) -> Tensor:
    from PIL import ImageOps

    if image.mode.startswith(("I", "F")):
        raise ValueError(
            f"a Pillow image of mode {image.mode!r} has more than 8 bits, and which values are "
            "black and white is not known: pass its path, or a float array in [0, 1]"
        )
    try:
        return _channels_first(np.array(ImageOps.exif_transpose(image).convert("RGB")))
    except (OSError, SyntaxError) as error:
        name = getattr(image, "filename", "") or "the Pillow image"
        raise ValueError(f"{name}: cannot be decoded ({error})") from None


def _of_array(image: np.ndarray) -> Tensor:
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an array of an image is (H, W, 3) or (H, W), not {image.shape}")
    if np.issubdtype(image.dtype, np.floating):
        image = image.astype(np.float32)
    elif image.dtype != np.uint8:
        raise ValueError(f"an image is uint8, or float in [0, 1], not {image.dtype}")
    return _channels_first(image)


def _of_tensor(image: Tensor) -> Tensor:
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(
            f"a tensor of an image is (3, H, W), not {tuple(image.shape)}: pass several images as "
            "a list"
        )
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise ValueError(f"an image is uint8, or float in [0, 1], not {image.dtype}")
    return image if image.dtype == torch.uint8 else image.float()


def _channels_first(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))


def _checked(image: Tensor) -> Tensor:
    if image.numel() == 0:
        raise ValueError(f"an image has pixels; this one has the shape {tuple(image.shape)}")
    if image.dtype == torch.uint8:
        return image
    check_range(image, "a float image")
    return image.clamp(0, 1)
