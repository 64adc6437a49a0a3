"""Boxes on pictures, with Pillow: detections, objects, anchors, and who answers for whom.

Every function returns a new RGB picture. Small pictures are enlarged first, so that lines stay thin
and labels legible; boxes are always given in pixels of the picture that came in, xyxy.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

from kedge.report.style import numbers

# brighter than the figures' palette: they have to show on any photograph
COLOURS = ("#ff8a1f", "#31a8ff", "#2fd18c", "#f28be0", "#ffd23f", "#a49bff", "#7fe3e8", "#ffb3a7")
ANSWERED, MISSED, ANCHOR = "#2fd18c", "#ff3b30", "#ffd23f"
_LONG_SIDE = 960  # pictures smaller than this are enlarged


@dataclass(frozen=True, slots=True)
class _Canvas:
    image: PIL.Image.Image
    pen: PIL.ImageDraw.ImageDraw
    factor: float
    font: Any


def to_image(image: Any) -> PIL.Image.Image:
    """An RGB picture of a path, a PIL image, an array (H, W, 3) or (H, W), or a tensor (3, H, W) or
    (1, H, W).

    Floating-point values are taken as 0..1, integers as 0..255.
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


def draw_boxes(
    image: Any,
    boxes: Any,
    captions: Sequence[str] | None = None,
    *,
    colours: str | Sequence[str] = COLOURS[0],
    width: float = 3.0,
    dashed: bool = False,
) -> PIL.Image.Image:
    """Plain boxes (n, 4), with a caption (n,) each and one colour for all or one for each (n,)."""
    canvas = _canvas(image)
    rows = numbers(boxes).reshape(-1, 4)
    each = [colours] * len(rows) if isinstance(colours, str) else list(colours)
    _check(len(rows), captions=captions, colours=each)
    for box, colour in zip(rows, each, strict=True):
        _box(canvas, box, colour, width=width, dashed=dashed)
    for i, caption in enumerate(captions or ()):
        _caption(canvas, rows[i], caption, each[i])
    return canvas.image


def draw_detections(
    image: Any,
    prediction: Any,
    target: Any = None,
    *,
    names: Sequence[str] | None = None,
    min_score: float = 0.3,
) -> PIL.Image.Image:
    """Detections in the colour of their class, with name and score; objects of `target` as thin
    white dashes.

    `prediction`: ``boxes``, ``labels``, ``scores``; `target`: ``boxes``. `names`: of the 0-based
    labels. Detections below `min_score` are left out; the best are drawn on top.
    """
    canvas = _canvas(image)
    if target is not None:
        for box in numbers(target["boxes"]).reshape(-1, 4):
            _box(canvas, box, "#ffffff", width=1.5, dashed=True)
    boxes = numbers(prediction["boxes"]).reshape(-1, 4)
    labels = numbers(prediction["labels"], np.int64).reshape(-1).tolist()
    scores = numbers(prediction["scores"]).reshape(-1)
    rows = [i for i in np.argsort(scores, kind="stable") if scores[i] >= min_score]
    for i in rows:
        _box(canvas, boxes[i], COLOURS[labels[i] % len(COLOURS)])
    for i in rows:
        name = names[labels[i]] if names else f"class {labels[i]}"
        _caption(canvas, boxes[i], f"{name} {scores[i]:.2f}", COLOURS[labels[i] % len(COLOURS)])
    return canvas.image


def draw_answers(
    image: Any,
    boxes: Any,
    answered: Any,
    anchors: Any = None,
    target_index: Any = None,
    *,
    captions: Sequence[str] | None = None,
) -> PIL.Image.Image:
    """Objects green where an anchor answers for them; red, dashed and crossed out where none does.

    `boxes` (n, 4), `answered` (n,) bool. `anchors` (m, 4): the best ones, drawn thin;
    `target_index` (m,): the object each belongs to (its colour follows), otherwise they are yellow.
    """
    canvas = _canvas(image)
    rows, good = numbers(boxes).reshape(-1, 4), numbers(answered, bool).reshape(-1)
    _check(len(rows), answered=good, captions=captions)
    thin = numbers([] if anchors is None else anchors).reshape(-1, 4)
    owner = None if target_index is None else numbers(target_index, np.int64).reshape(-1)
    if owner is not None:
        _check(len(thin), target_index=owner)
    for k, anchor in enumerate(thin):
        colour = ANCHOR if owner is None or good[owner[k]] else MISSED
        _box(canvas, anchor, colour, width=1.2)
    for box, ok in zip(rows, good, strict=True):
        if not ok:
            _cross(canvas, box, MISSED)
        _box(canvas, box, ANSWERED if ok else MISSED, width=3.5, dashed=not ok)
    for i, caption in enumerate(captions or ()):
        _caption(canvas, rows[i], caption, ANSWERED if good[i] else MISSED)
    return canvas.image


def draw_assignment(
    image: Any,
    boxes: Any,
    anchors: Any,
    target_index: Any,
    *,
    captions: Sequence[str] | None = None,
) -> PIL.Image.Image:
    """The anchors assigned in one image: thin, with a dot on their cell, in the colour of their
    object.

    `boxes` (n, 4) objects, `anchors` (m, 4), `target_index` (m,) the object of each. Objects
    without any anchor are red, dashed and crossed out.
    """
    canvas = _canvas(image)
    rows, places = numbers(boxes).reshape(-1, 4), numbers(anchors).reshape(-1, 4)
    owner = numbers(target_index, np.int64).reshape(-1)
    _check(len(places), target_index=owner)
    if len(owner) and (owner.min() < 0 or owner.max() >= len(rows)):
        raise ValueError(
            f"target_index must lie in 0..{len(rows) - 1}, found {owner.min()}..{owner.max()}"
        )
    _check(len(rows), captions=captions)
    for anchor, k in zip(places, owner, strict=True):
        _box(canvas, anchor, COLOURS[k % len(COLOURS)], width=1)
    for anchor, k in zip(places, owner, strict=True):
        _dot(canvas, anchor, COLOURS[k % len(COLOURS)])
    has_anchor = np.bincount(owner, minlength=len(rows)) > 0
    for i, box in enumerate(rows):
        if not has_anchor[i]:
            _cross(canvas, box, MISSED)
        colour = COLOURS[i % len(COLOURS)] if has_anchor[i] else MISSED
        _box(canvas, box, colour, width=3.5, dashed=not has_anchor[i])
        if captions:
            _caption(canvas, box, captions[i], colour)
    return canvas.image


def _canvas(image: Any) -> _Canvas:
    picture = to_image(image)
    factor = max(1.0, _LONG_SIDE / max(picture.size))
    if factor > 1:
        size = (round(picture.width * factor), round(picture.height * factor))
        picture = picture.resize(size, PIL.Image.Resampling.BICUBIC)
    elif picture is image:
        picture = picture.copy()
    font = PIL.ImageFont.load_default(size=max(14, round(max(picture.size) / 54)))
    return _Canvas(picture, PIL.ImageDraw.Draw(picture, "RGBA"), factor, font)


def _check(n: int, **columns: Any) -> None:
    for name, values in columns.items():
        if values is not None and len(values) != n:
            raise ValueError(f"{name} must have {n} entries, one a box, not {len(values)}")


def _points(canvas: _Canvas, box: NDArray[np.float64]) -> list[float] | None:
    """Corners on the canvas; None for what cannot be drawn."""
    if not np.isfinite(box).all():
        return None
    far = 4 * max(
        canvas.image.size
    )  # Pillow walks along every dash, so an absurd box must end somewhere
    x1, y1, x2, y2 = np.clip(box * canvas.factor, -far, far).tolist()
    return [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]


def _thick(canvas: _Canvas, width: float) -> int:
    return max(1, round(width * max(canvas.image.size) / 1100))


def _box(
    canvas: _Canvas,
    box: NDArray[np.float64],
    colour: str,
    *,
    width: float = 3.0,
    dashed: bool = False,
) -> None:
    points = _points(canvas, box)
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
    canvas: _Canvas, start: tuple[float, float], end: tuple[float, float], colour: str, line: int
) -> None:
    a, b = np.array(start), np.array(end)
    length = float(np.hypot(*(b - a)))
    step = 5.0 * line + 3
    for at in np.arange(0, length, step) if length else ():
        stop = min(at + 0.68 * step, length)
        ends = [tuple(a + (b - a) * part / length) for part in (at, stop)]
        canvas.pen.line(ends, fill=colour, width=line)


def _cross(canvas: _Canvas, box: NDArray[np.float64], colour: str) -> None:
    points = _points(canvas, box)
    if points is not None:
        x1, y1, x2, y2 = points
        canvas.pen.rectangle(points, fill=(*_rgb(colour), 38))
        for ends in (((x1, y1), (x2, y2)), ((x1, y2), (x2, y1))):
            canvas.pen.line(ends, fill=(*_rgb(colour), 150), width=_thick(canvas, 1))


def _dot(canvas: _Canvas, box: NDArray[np.float64], colour: str) -> None:
    points = _points(canvas, box)
    if points is not None:
        x, y = (points[0] + points[2]) / 2, (points[1] + points[3]) / 2
        r = _thick(canvas, 3)
        canvas.pen.ellipse([x - r, y - r, x + r, y + r], fill=colour, outline=(0, 0, 0, 160))


def _caption(canvas: _Canvas, box: NDArray[np.float64], text: str, colour: str) -> None:
    """A tag on the upper edge, pushed inside where it would leave the picture."""
    points = _points(canvas, box)
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
