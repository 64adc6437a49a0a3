"""Real images: each object green when an anchor answers for it, red when none does."""

from typing import Any

import numpy as np

from kedge.boxes import iou
from kedge.data import Record
from kedge.data.images import decode
from kedge.data.transforms import Fit
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, count
from kedge.report import Grid, Image, Section, Text, draw_answers, draw_boxes

_WORST = 2  # pictures of a finding
_OF_COVERAGE = ("poorly_covered", "uncovered_sizes", "uncovered_aspect_ratios")
_OBJECTS = 60  # of a picture; beyond it nothing can be told apart
PICTURES = 8


def image_section(context: Context, count: int = PICTURES) -> Section | None:
    """Real images, objects green that the detector's own rule gives an anchor and red without."""
    chosen = _telling(context, count)
    if not chosen:
        return None
    pictures = [picture for i in chosen if (picture := _picture(context, i)) is not None]
    setup = context.setup
    assert setup is not None
    what = "a candidate" if setup.by_predictions else "a positive anchor"
    thin = "point of each object, as its cell" if setup.points else "of them for each object"
    return Section(
        title="Images",
        blocks=[
            Text(
                text=f"**Green**: {setup.rule} gives the object {what}. **Red**, dashed: it does "
                f"not. Thin: the best {thin}."
            ),
            Grid(blocks=pictures, caption="First the images with most red, then others."),
        ],
    )


def _telling(context: Context, count: int) -> list[int]:
    """Half of them the images that hold most unanswered objects, half spread over the others;
    indices into the sample."""
    records = [context.data.records[i] for i in context.chosen]
    drawable = [
        i
        for i, r in enumerate(records)
        if (r.file is not None or r.draw is not None) and (~r.crowd).any()
    ]
    if not drawable:
        return []
    lost = np.bincount(context.fair.image[~_answered(context)], minlength=len(records))
    worst = sorted((i for i in drawable if lost[i]), key=lambda i: -lost[i])[: count // 2]
    rest = [i for i in drawable if i not in worst]
    step = max(1, len(rest) // max(1, count - len(worst)))
    return worst + rest[::step][: count - len(worst)]


def worst_images(context: Context, finding: Finding, most: int = _WORST) -> list[Image]:
    """The first of the images that an error or a warning names: the objects green and red by what
    it is about (answered or covered by anchors), else as they are annotated."""
    rows = finding.evidence.get("worst_images") or []
    if finding.severity == "note" or not rows:
        return []
    names = [row["image"] for row in rows[:most]]
    pictures = [_worst(context, finding.check, name) for name in names]
    return [picture for picture in pictures if picture is not None]


def _worst(context: Context, check: str, name: str) -> Image | None:
    if check == "no_positive" or check in _OF_COVERAGE:
        word = "covered" if check in _OF_COVERAGE else "answered"
        return _picture(context, context.sample_names.index(name), word)
    record = next((r for r in context.data.records if r.name == name), None)
    pixels = None if record is None else _pixels(record)
    if record is None or pixels is None:
        return None
    boxes = record.boxes[:_OBJECTS]
    drawn = f", {len(boxes)} of them drawn" if len(boxes) < len(record.boxes) else ""
    caption = f"{name}: {count(len(record.boxes), 'object')} as annotated{drawn}"
    return Image(image=draw_boxes(pixels, boxes, width=2), caption=caption, alt=caption)


def _pixels(record: Record) -> Any | None:
    """None for a file that is missing or broken: reported by the checks."""
    if record.file is None and record.draw is None:
        return None
    try:
        return decode(record)
    except ValueError:
        return None


def _answered(context: Context) -> Any:
    return context.answers.positives > 0


def _picture(context: Context, index: int, word: str = "answered") -> Image | None:
    setup = context.setup
    assert setup is not None
    record = context.data.records[int(context.chosen[index])]
    pixels = _pixels(record)
    if pixels is None:
        return None
    mine = np.flatnonzero(context.fair.image == index)
    good = context.answers.covered(setup.threshold) if word == "covered" else _answered(context)
    ok = good[mine]
    anchors, owner = _best_of_each(context, index)
    fair = record.boxes[~record.crowd][:_OBJECTS]
    shown = owner < len(fair)
    boxes = _to_pixels(context, anchors[shown], record.width, record.height)
    drawn = f", {len(fair)} of them drawn" if len(fair) < len(mine) else ""
    return Image(
        image=draw_answers(pixels, fair, ok[: len(fair)], boxes, owner[shown]),
        caption=f"{record.name}: {int(ok.sum())} of {len(mine)} {word} (green){drawn}",
        alt=f"{record.name}: objects {word} by anchors in green, others in red",
    )


def _best_of_each(context: Context, index: int) -> tuple[Any, Any]:
    """Of every fair object of an image that has positives the one of largest IoU: boxes (p, 4) in
    the network's input, and the objects' places among the fair ones (p,)."""
    setup = context.setup
    assert setup is not None
    targets = context.sample.of_images(np.array([index])).targets(0, 1)
    chosen = setup.counted(setup.grid, targets)
    boxes, target = setup.grid.boxes(chosen.anchor), chosen.target
    value = iou(boxes, targets.boxes[target]).numpy()
    order = np.lexsort((-value, target.numpy()))
    owner, first = np.unique(target.numpy()[order], return_index=True)
    place = np.cumsum(~targets.ignore.numpy()) - 1
    return boxes.numpy()[order][first], place[owner]


def _to_pixels(context: Context, boxes: Any, width: int, height: int) -> Any:
    """Boxes of the network's input in pixels of the original image."""
    plan = Fit(context.image_size).placement(height, width)
    scale = np.array([plan.inner[1] / width, plan.inner[0] / height])
    return (boxes - np.tile([plan.dx, plan.dy], 2)) / np.tile(scale, 2)
