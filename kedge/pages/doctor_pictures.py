"""Real images: each object green when an anchor answers for it, red when none does."""

from typing import Any

import numpy as np

from kedge.data.transforms import Fit
from kedge.doctor.context import Context
from kedge.report import Grid, Image, Section, Text, draw_answers

_OBJECTS = 60  # of a picture; beyond it nothing can be told apart
PICTURES = 8


def image_section(context: Context, count: int = PICTURES) -> Section | None:
    """Real images, objects green where an anchor answers and red where none does."""
    chosen = _telling(context, count)
    if not chosen:
        return None
    pictures = [picture for i in chosen if (picture := _picture(context, i)) is not None]
    assert context.setup is not None
    limit = context.setup.threshold
    return Section(
        title="Images",
        blocks=[
            Text(
                text=f"**Green**: an anchor with IoU {limit:g} or more answers for the object. "
                "**Red**, dashed: none does. Thin: the best anchor of each object, on its cell."
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


def _answered(context: Context) -> Any:
    assert context.setup is not None
    answers = context.answers
    return (answers.positives > 0) & answers.covered(context.setup.threshold)


def _picture(context: Context, index: int) -> Image | None:
    from kedge.data.images import decode

    setup = context.setup
    assert setup is not None
    record = context.data.records[int(context.chosen[index])]
    try:
        pixels = decode(record)
    except ValueError:  # a broken file: reported by the checks
        return None
    mine = np.flatnonzero(context.fair.image == index)[:_OBJECTS]
    ok = _answered(context)[mine]
    part = context.sample.of_images(np.array([index]))
    targets = part.fair.targets(0, 1)
    pairs = setup.grid.best(targets)
    first = pairs.select(pairs.top_per_target(pairs.iou(), k=1))
    shown = first.target < len(mine)
    anchors = _to_pixels(context, first.boxes()[shown].numpy(), record.width, record.height)
    fair = record.boxes[~record.crowd][: len(mine)]
    covered = int(ok.sum())
    return Image(
        image=draw_answers(pixels, fair, ok, anchors, first.target[shown].numpy()),
        caption=f"{record.name}: {covered} of {len(mine)} answered",
        alt=f"{record.name}: objects that anchors answer for in green, others in red",
    )


def _to_pixels(context: Context, boxes: Any, width: int, height: int) -> Any:
    """Boxes of the network's input in pixels of the original image."""
    plan = Fit(context.image_size).placement(height, width)
    scale = np.array([plan.inner[1] / width, plan.inner[0] / height])
    return (boxes - np.tile([plan.dx, plan.dy], 2)) / np.tile(scale, 2)
