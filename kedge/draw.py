"""Detections drawn over their image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

COLOURS = ("#e4572e", "#17bebb", "#ffc914", "#76b041", "#7768ae", "#f28482", "#3d5a80", "#b8336a")


def draw_boxes(
    image: Image.Image,
    boxes: Any,
    labels: Any,
    classes: Sequence[str],
    scores: Any = None,
) -> Image.Image:
    """A copy of `image` with `boxes` (n, 4) xyxy, class names, and scores where given."""
    canvas = image.convert("RGB")
    pen = ImageDraw.Draw(canvas)
    thick = max(1, round(max(canvas.size) / 400))
    font = ImageFont.load_default(size=max(9, max(canvas.size) / 40))
    corners, indices = np.asarray(boxes).reshape(-1, 4).tolist(), np.asarray(labels).tolist()
    for i, (box, label) in enumerate(zip(corners, indices, strict=True)):
        colour = COLOURS[label % len(COLOURS)]
        pen.rectangle(box, outline=colour, width=thick)
        text = classes[label] + ("" if scores is None else f" {float(scores[i]):.2f}")
        left, top, right, bottom = pen.textbbox((box[0], box[1]), text, font=font)
        lift = bottom - top + thick if top >= bottom - top else 0
        pen.rectangle((left, top - lift, right, bottom - lift), fill=colour)
        pen.text((box[0], box[1] - lift), text, fill="black", font=font)
    return canvas


def open_image(file: Path) -> Image.Image:
    """The image as it is meant to be seen (EXIF orientation applied)."""
    with Image.open(file) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def save_image(image: Image.Image, path: Path) -> None:
    """Write an image atomically; the format follows the file name."""
    from kedge.train.files import replacing

    form = Image.registered_extensions().get(path.suffix.lower())
    if form is None or form not in Image.SAVE:
        raise ValueError(f"{path}: no image format is called {path.suffix!r}; use .png or .jpg")
    with replacing(path) as part:
        image.save(part, format=form)
