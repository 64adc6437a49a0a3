"""Boxes on pictures, with Pillow: detections, objects, anchors, and who answers for whom.

Every function returns a new RGB picture. Small pictures are enlarged first, so that lines stay thin
and labels legible; boxes are always given in pixels of the picture that came in, xyxy.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image

from kedge.report import strokes
from kedge.report.style import numbers

# brighter than the figures' palette: they have to show on any photograph
COLOURS = ("#ff8a1f", "#31a8ff", "#2fd18c", "#f28be0", "#ffd23f", "#a49bff", "#7fe3e8", "#ffb3a7")
ANSWERED, MISSED, ANCHOR = "#2fd18c", "#ff3b30", "#ffd23f"


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
    canvas = strokes.new_canvas(image)
    rows = numbers(boxes).reshape(-1, 4)
    each = [colours] * len(rows) if isinstance(colours, str) else list(colours)
    _check(len(rows), captions=captions, colours=each)
    for box, colour in zip(rows, each, strict=True):
        strokes.box(canvas, box, colour, width=width, dashed=dashed)
    for i, caption in enumerate(captions or ()):
        strokes.caption(canvas, rows[i], caption, each[i])
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
    canvas = strokes.new_canvas(image)
    if target is not None:
        for box in numbers(target["boxes"]).reshape(-1, 4):
            strokes.box(canvas, box, "#ffffff", width=1.5, dashed=True)
    boxes = numbers(prediction["boxes"]).reshape(-1, 4)
    labels = numbers(prediction["labels"], np.int64).reshape(-1).tolist()
    scores = numbers(prediction["scores"]).reshape(-1)
    rows = [i for i in np.argsort(scores, kind="stable") if scores[i] >= min_score]
    for i in rows:
        strokes.box(canvas, boxes[i], COLOURS[labels[i] % len(COLOURS)])
    for i in rows:
        name = names[labels[i]] if names else f"class {labels[i]}"
        strokes.caption(
            canvas, boxes[i], f"{name} {scores[i]:.2f}", COLOURS[labels[i] % len(COLOURS)]
        )
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
    canvas = strokes.new_canvas(image)
    rows, good = numbers(boxes).reshape(-1, 4), numbers(answered, bool).reshape(-1)
    _check(len(rows), answered=good, captions=captions)
    thin = numbers([] if anchors is None else anchors).reshape(-1, 4)
    owner = None if target_index is None else numbers(target_index, np.int64).reshape(-1)
    if owner is not None:
        _check(len(thin), target_index=owner)
    for k, anchor in enumerate(thin):
        colour = ANCHOR if owner is None or good[owner[k]] else MISSED
        strokes.box(canvas, anchor, colour, width=1.2)
    for box, ok in zip(rows, good, strict=True):
        if not ok:
            strokes.cross(canvas, box, MISSED)
        strokes.box(canvas, box, ANSWERED if ok else MISSED, width=3.5, dashed=not ok)
    for i, caption in enumerate(captions or ()):
        strokes.caption(canvas, rows[i], caption, ANSWERED if good[i] else MISSED)
    return canvas.image


def draw_assignment(
    image: Any,
    boxes: Any,
    anchors: Any,
    target_index: Any,
    *,
    captions: Sequence[str] | None = None,
    stride: float | tuple[float, float] | None = None,
) -> PIL.Image.Image:
    """The anchors assigned in one image: thin, with a dot on their cell, in the colour of their
    object.

    `boxes` (n, 4) objects, `anchors` (m, 4), `target_index` (m,) the object of each. Objects
    without any anchor are red, dashed and crossed out. `stride` (or its x and y) draws the
    cells of a level beneath.
    """
    canvas = strokes.new_canvas(image)
    rows, places = numbers(boxes).reshape(-1, 4), numbers(anchors).reshape(-1, 4)
    owner = numbers(target_index, np.int64).reshape(-1)
    _check(len(places), target_index=owner)
    if len(owner) and (owner.min() < 0 or owner.max() >= len(rows)):
        raise ValueError(
            f"target_index must lie in 0..{len(rows) - 1}, found {owner.min()}..{owner.max()}"
        )
    _check(len(rows), captions=captions)
    if stride is not None:
        strokes.cells(canvas, stride)
    for anchor, k in zip(places, owner, strict=True):
        strokes.box(canvas, anchor, COLOURS[k % len(COLOURS)], width=1)
    for anchor, k in zip(places, owner, strict=True):
        strokes.dot(canvas, anchor, COLOURS[k % len(COLOURS)])
    has_anchor = np.bincount(owner, minlength=len(rows)) > 0
    for i, box in enumerate(rows):
        if not has_anchor[i]:
            strokes.cross(canvas, box, MISSED)
        colour = COLOURS[i % len(COLOURS)] if has_anchor[i] else MISSED
        strokes.box(canvas, box, colour, width=3.5, dashed=not has_anchor[i])
        if captions:
            strokes.caption(canvas, box, captions[i], colour)
    return canvas.image


def _check(n: int, **columns: Any) -> None:
    for name, values in columns.items():
        if values is not None and len(values) != n:
            raise ValueError(f"{name} must have an entry a box, {n}, not {len(values)}")
