"""One picture, many strategies: a panel each, with the anchors that it selects."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from kedge.counted import count
from kedge.report import strokes
from kedge.report.draw import COLOURS, MISSED
from kedge.report.style import numbers
from kedge.types import Anchors, Assignment, Targets

_PANEL, _TITLE, _GAP = 480, 48, 8  # pixels
_AROUND = 8  # longer sides of the largest object along the longer side of a panel, at most
_PAPER, _INK, _FAINT = "#ffffff", "#16202a", "#5b6770"

_Window = tuple[int, int, int, int]


def draw_strategies(
    image: Any, anchors: Anchors, selected: Mapping[str, Assignment], columns: int = 4
) -> PIL.Image.Image:
    """A sheet of panels: what every strategy selects in one image, under its name.

    ``selected``: an assignment of this image alone for every name, on ``anchors``. A dot stands at
    the centre of every positive anchor, in the colour of its object; larger anchors have larger
    dots, smaller weights paler ones. Objects without an anchor are red and crossed out; the crowd
    is left out. `image` as for ``draw_boxes``, of the size that the anchors were made for. Where
    even the largest object is small, the panels show the part of the image around it, and say so;
    the numbers are those of the whole image.
    """
    if not selected:
        raise ValueError("draw_strategies needs at least one assignment")
    several = [name for name, given in selected.items() if given.targets.batch_size != 1]
    if several:
        raise ValueError(f"draw_strategies takes one image: {several[0]!r} has several")
    picture = strokes.to_image(image)
    window = _window(next(iter(selected.values())).targets, picture.size)
    panels = [_panel(picture, window, anchors, name, given) for name, given in selected.items()]
    return sheet(panels, columns)


def sheet(panels: Sequence[PIL.Image.Image], columns: int = 4) -> PIL.Image.Image:
    """Panels of one size beside and below each other."""
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    width, height = panels[0].size
    page = PIL.Image.new(
        "RGB", (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP), _PAPER
    )
    for i, one in enumerate(panels):
        row, column = divmod(i, columns)
        page.paste(one, (column * (width + _GAP), row * (height + _GAP)))
    return page


def below(pages: Sequence[PIL.Image.Image]) -> PIL.Image.Image:
    """Sheets below each other, as one."""
    width = max(page.width for page in pages)
    whole = PIL.Image.new("RGB", (width, sum(page.height + _GAP for page in pages) - _GAP), _PAPER)
    top = 0
    for page in pages:
        whole.paste(page, (0, top))
        top += page.height + _GAP
    return whole


def _window(targets: Targets, size: tuple[int, int]) -> _Window:
    """What is looked at (x1, y1, x2, y2) of a picture of `size`: all of it, or, where objects are
    small, the surroundings of the largest, in the picture's own proportion."""
    boxes = numbers(targets.boxes[~targets.ignore]).reshape(-1, 4)
    sides = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0)
    share = _AROUND * float(sides.max(initial=0)) / max(size)
    if not 0 < share < 1:
        return (0, 0, *size)
    box = boxes[int(sides.argmax())]
    part = [max(1, round(side * share)) for side in size]
    low = [
        min(max(0, round((box[i] + box[i + 2] - part[i]) / 2)), size[i] - part[i]) for i in (0, 1)
    ]
    return (low[0], low[1], low[0] + part[0], low[1] + part[1])


def _panel(
    image: PIL.Image.Image, window: _Window, anchors: Anchors, name: str, given: Assignment
) -> PIL.Image.Image:
    real = ~given.targets.ignore
    counts = np.bincount(numbers(given.target, np.int64), minlength=len(real))[numbers(real, bool)]
    facts = count(int(counts.sum()), "positive")
    if (counts == 0).any():
        facts += f", {(counts == 0).sum()} of {count(len(counts), 'object')} without"
    if (window[2] - window[0], window[3] - window[1]) != image.size:
        facts += f"; seen: {window[2] - window[0]} x {window[3] - window[1]} px around the largest"
    return panel(_drawn(image, window, anchors, given), name, facts)


def panel(picture: PIL.Image.Image, name: str, facts: str) -> PIL.Image.Image:
    """A picture of the width of all panels, under its name and a line about it."""
    picture = picture.resize(
        (_PANEL, max(1, round(picture.height * _PANEL / picture.width))),
        PIL.Image.Resampling.LANCZOS,
    )
    whole = PIL.Image.new("RGB", (_PANEL, picture.height + _TITLE), _PAPER)
    whole.paste(picture, (0, _TITLE))
    pen = PIL.ImageDraw.Draw(whole)
    pen.text((2, 1), name, fill=_INK, font=PIL.ImageFont.load_default(size=22))
    pen.text((2, 26), facts, fill=_FAINT, font=PIL.ImageFont.load_default(size=16))
    return whole


def _drawn(
    image: PIL.Image.Image, window: _Window, anchors: Anchors, given: Assignment
) -> PIL.Image.Image:
    canvas = strokes.new_canvas(paler(image.crop(window)))
    corner = np.array([*window[:2], *window[:2]])
    boxes = numbers(given.targets.boxes).reshape(-1, 4) - corner
    count = np.bincount(numbers(given.target, np.int64), minlength=len(boxes))
    for i, box in enumerate(boxes):
        if bool(given.targets.ignore[i]):
            continue
        if count[i] == 0:
            strokes.cross(canvas, box, MISSED)
        colour = COLOURS[i % len(COLOURS)] if count[i] else MISSED
        strokes.box(canvas, box, colour, width=3, dashed=count[i] == 0)
    places = numbers(anchors.boxes(given.anchor)).reshape(-1, 4) - corner
    weights = np.ones(len(places)) if given.weight is None else numbers(given.weight)
    weights = weights / max(weights.max(initial=0), 1e-12)
    owners = numbers(given.target, np.int64)
    side = np.sqrt((places[:, 2:] - places[:, :2]).prod(1))
    for k in np.argsort(-side, kind="stable"):
        colour, radius = COLOURS[owners[k] % len(COLOURS)], 1.6 + 0.55 * side[k] ** 0.5
        strokes.dot(canvas, places[k], colour, radius=radius, opacity=0.15 + 0.85 * weights[k])
    return canvas.image


def paler(picture: PIL.Image.Image) -> PIL.Image.Image:
    """The picture stepping back a little behind what is drawn on it."""
    return PIL.Image.blend(picture, PIL.Image.new("RGB", picture.size, "#20262c"), 0.35)
