"""Values of pixels that are not 0 to 255: which is black, and which white."""

import numpy as np

WIDE = ("F", "I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's modes of more than 8 bits


def extremes_of(pixels: np.ndarray) -> tuple[float, float]:
    """The least and the largest finite value; (0, 0) where there is none."""
    if pixels.dtype.kind == "f":
        pixels = pixels[np.isfinite(pixels)]
    return (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)


def black_white(mode: str, low: float, high: float) -> tuple[float, float] | None:
    """The values to show as black and white; None where the mode's own range is meant.

    Whole numbers from 0: the largest number of the fewest bits, of 8, 10, 12, 14 and 16, that holds
    them (12-bit cameras). Fractions from 0 to 1: these. Anything else: the least and the largest.
    """
    if low >= 0 and high <= 1 and mode == "F":
        return (0.0, 1.0)
    if low >= 0 and high < 2**16:
        bits = next(bits for bits in (8, 10, 12, 14, 16) if high < 2**bits)
        return None if bits == 16 and mode.startswith("I;16") else (0.0, 2.0**bits - 1)
    return (low, high)


def as_bytes(pixels: np.ndarray, shown: tuple[float, float] | None) -> np.ndarray:
    """(H, W) of any type as uint8, `shown` being black and white; None: 16 bits as they are.

    What is not finite is black.
    """
    if shown is None:
        return (pixels.astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
    low, high = shown
    scale = 255.0 / (high - low) if high > low else 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        values = (pixels.astype(np.float32) - np.float32(low)) * np.float32(scale)
    finite = np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0)
    return finite.clip(0, 255).round().astype(np.uint8)
