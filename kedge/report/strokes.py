"""A picture to draw on, and the strokes: box, caption, dot, cross, cells."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

from kedge.files import replacing
from kedge.report.style import numbers

_LONG_SIDE = 960  # pictures smaller than this are enlarged


@dataclass(frozen=True, slots=True)
class Canvas:
    """A picture, its pen, the font for tags, and by how much it was enlarged."""

    image: PIL.Image.Image
    pen: PIL.ImageDraw.ImageDraw
    factor: float
    font: Any


def to_image(image: Any) -> PIL.Image.Image:
    """An RGB picture of a path, a PIL image, an array (H, W, 3) or (H, W), or a tensor (3, H, W) or
    (1, H, W).

    Floating-point values are taken as 0..1, integers as 0..255. Files are read as they are
    stored: an orientation in their EXIF data is not applied.
    """
    if isinstance(image, PIL.Image.Image):
        return image.convert("RGB")
    if isinstance(image, str | os.PathLike):
        with PIL.Image.open(Path(image)) as opened:
            return opened.convert("RGB")
    is_tensor = hasattr(image, "detach")
    pixels = numbers(image, None)
    if pixels.ndim not in (2, 3):
        raise ValueError(f"an image has two or three dimensions, not the shape {pixels.shape}")
    if is_tensor and pixels.ndim == 3:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3):
        raise ValueError(
            f"an image has 1 or 3 channels, not {pixels.shape[2]} (tensor: C, H, W; array: H, W, C)"
        )
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if np.issubdtype(pixels.dtype, np.floating):
        pixels = np.nan_to_num(pixels).clip(0, 1) * 255 + 0.5
    return PIL.Image.fromarray(pixels.astype(np.uint8)).convert("RGB")


def save_image(picture: PIL.Image.Image, path: Path) -> None:
    """Write a Pillow image atomically; the format follows the file's name."""
    form = PIL.Image.registered_extensions().get(path.suffix.lower())
    if form is None or form not in PIL.Image.SAVE:
        raise ValueError(f"{path}: no image format is called {path.suffix!r}; use .png or .jpg")
    with replacing(path) as part:
        picture.save(part, format=form)


def new_canvas(image: Any) -> Canvas:
    """A copy of the picture, enlarged where it is small, with a pen and a legible font."""
    picture = to_image(image)
    factor = max(1.0, _LONG_SIDE / max(picture.size))
    if factor > 1:
        size = (round(picture.width * factor), round(picture.height * factor))
        picture = picture.resize(size, PIL.Image.Resampling.BICUBIC)
    elif picture is image:
        picture = picture.copy()
    font = PIL.ImageFont.load_default(size=max(14, round(max(picture.size) / 54)))
    return Canvas(picture, PIL.ImageDraw.Draw(picture, "RGBA"), factor, font)


def _points(canvas: Canvas, box: NDArray[np.float64]) -> list[float] | None:
    """Corners on the canvas; None for what cannot be drawn."""
    if not np.isfinite(box).all():
        return None
    # Pillow walks along every dash, so an absurd box must end somewhere
    far = 4 * max(canvas.image.size)
    x1, y1, x2, y2 = np.clip(box * canvas.factor, -far, far).tolist()
    return [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]


def _thick(canvas: Canvas, width: float) -> int:
    return max(1, round(width * max(canvas.image.size) / 1100))


def box(
    canvas: Canvas,
    place: NDArray[np.float64],
    colour: str,
    *,
    width: float = 3.0,
    dashed: bool = False,
) -> None:
    """The outline of one box (4,) xyxy, in pixels of the picture that came in."""
    points = _points(canvas, place)
    if points is None:
        return
    x1, y1, x2, y2 = points
    line = _thick(canvas, width)
    if width > 1.5 and not dashed:  # a dark seam parts the colour from a bright ground
        seam = [x1 - 1, y1 - 1, x2 + 1, y2 + 1]
        canvas.pen.rectangle(seam, outline=(0, 0, 0, 70), width=line + 2)
    if not dashed:
        canvas.pen.rectangle(points, outline=colour, width=line)
        return
    for ends in (
        ((x1, y1), (x2, y1)),
        ((x1, y2), (x2, y2)),
        ((x1, y1), (x1, y2)),
        ((x2, y1), (x2, y2)),
    ):
        _dashes(canvas, *ends, colour, line)


def _dashes(
    canvas: Canvas, start: tuple[float, float], end: tuple[float, float], colour: str, line: int
) -> None:
    a, b = np.array(start), np.array(end)
    length = float(np.hypot(*(b - a)))
    step = 5.0 * line + 3
    for at in np.arange(0, length, step) if length else ():
        stop = min(at + 0.68 * step, length)
        ends = [tuple(a + (b - a) * part / length) for part in (at, stop)]
        canvas.pen.line(ends, fill=colour, width=line)


def cross(canvas: Canvas, place: NDArray[np.float64], colour: str) -> None:
    """A faint filling and two diagonals: nothing answers here."""
    points = _points(canvas, place)
    if points is not None:
        x1, y1, x2, y2 = points
        canvas.pen.rectangle(points, fill=(*_rgb(colour), 38))
        for ends in (((x1, y1), (x2, y2)), ((x1, y2), (x2, y1))):
            canvas.pen.line(ends, fill=(*_rgb(colour), 150), width=_thick(canvas, 1))


def cells(canvas: Canvas, stride: float | tuple[float, float]) -> None:
    """Thin lines between the cells of a feature map; none where they would cover the picture."""
    steps = stride if isinstance(stride, tuple) else (stride, stride)
    if min(steps) <= 0:
        raise ValueError(f"stride must be positive, not {stride}")
    step_x, step_y = (step * canvas.factor for step in steps)
    width, height = canvas.image.size
    if min(step_x, step_y) < 5:
        return
    for x in np.arange(step_x, width, step_x).tolist():
        canvas.pen.line([(x, 0), (x, height)], fill=(255, 255, 255, 70), width=1)
    for y in np.arange(step_y, height, step_y).tolist():
        canvas.pen.line([(0, y), (width, y)], fill=(255, 255, 255, 70), width=1)


def dot(
    canvas: Canvas,
    place: NDArray[np.float64],
    colour: str,
    *,
    radius: float = 3.0,
    opacity: float = 1.0,
) -> None:
    """A dot in the middle of a box."""
    points = _points(canvas, place)
    if points is not None:
        x, y = (points[0] + points[2]) / 2, (points[1] + points[3]) / 2
        r = _thick(canvas, radius)
        fill, rim = (*_rgb(colour), round(255 * opacity)), (0, 0, 0, round(160 * opacity))
        canvas.pen.ellipse([x - r, y - r, x + r, y + r], fill=fill, outline=rim)


def caption(canvas: Canvas, place: NDArray[np.float64], text: str, colour: str) -> None:
    """A tag on the upper edge, pushed inside where it would leave the picture."""
    points = _points(canvas, place)
    if points is None or not text:
        return
    left, _, right, _ = canvas.pen.textbbox((0, 0), text, font=canvas.font)
    _, top, _, bottom = canvas.pen.textbbox((0, 0), "Hg", font=canvas.font)  # all tags alike
    w, h = right - left + 8, bottom - top + 6
    x = min(max(points[0], 0), canvas.image.width - w)
    y = points[1] - h if points[1] >= h else points[1]
    y = min(max(y, 0), canvas.image.height - h)
    canvas.pen.rectangle([x, y, x + w, y + h], fill=colour)
    r, g, b = _rgb(colour)
    ink = "#101418" if 0.299 * r + 0.587 * g + 0.114 * b > 120 else "#ffffff"
    canvas.pen.text((x + 4 - left, y + 3 - top), text, fill=ink, font=canvas.font)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
