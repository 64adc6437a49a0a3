"""Sections of a page about anchors and objects; ``kedge report`` and ``kedge doctor --html``."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from kedge.assign.max_iou import MaxIoU
from kedge.counted import count
from kedge.doctor.anchor_checks.thresholds import NEGATIVE, POSITIVE, recommend
from kedge.doctor.answers import answer, fit_of
from kedge.doctor.context import Context
from kedge.doctor.finding import percent
from kedge.doctor.objects import BANDS, band_of
from kedge.doctor.setup import Setup
from kedge.report import Block, Figure, Grid, Numbers, Section, Table
from kedge.report import figures as draw

_CLASSES = 25


def anchor_sets(context: Context) -> dict[str, Setup]:
    """The anchors in use, those a run started from, and designed ones."""
    setup = context.setup
    if setup is None or setup.points or len(context.fair) == 0:
        return {}
    sets = {"in use": setup}
    if context.run is not None:
        first = context.run.first_shapes
        sets = {"at the end": setup}
        if first is not None and not np.allclose(first, setup.grid.shapes.numpy(), rtol=1e-3):
            sets["at the start"] = setup.with_shapes(torch.tensor(first))
    if context.designed is not None:
        sets["designed"] = context.designed.setup
    return sets


def size_section(context: Context) -> Section:
    """Where objects and shapes lie in the log w - log h plane."""
    seen = context.seen.fair
    rng = np.random.default_rng(context.seed)
    part = rng.permutation(len(seen))[:200_000]
    shapes = {name: s.grid.shapes.numpy() for name, s in anchor_sets(context).items()}
    height, width = context.image_size
    marks = " Marks: anchor shapes. Where the grey has no mark nearby, no anchor has the right "
    marks += "shape."
    blocks: list[Block] = [
        Figure(
            figure=draw.shape_plane(seen.wh[part], shapes),
            caption=f"Grey: {count(len(seen), 'object')}, as the network sees them (input "
            f"{height} x {width}, letterboxed).{marks if shapes else ''} Dotted: COCO's borders "
            "of small and large; diagonal: squares.",
        )
    ]
    band = band_of(context.objects.fair.root_area)
    after = band_of(seen.root_area)
    rows = [[name, int((band == i).sum()), int((after == i).sum())] for i, name in enumerate(BANDS)]
    blocks.append(
        Table(
            columns=["size", "objects as annotated", "objects in the network's input"],
            rows=rows,
            caption="COCO's bands: small is below 32 x 32 pixels of area, large 96 x 96 or more.",
        )
    )
    return Section(title="Objects and shapes", blocks=blocks)


def coverage_section(context: Context) -> Section:
    """Best IoU: its distribution, by size, by class, by level."""
    setup, objects = context.setup, context.fair
    assert setup is not None
    sets = anchor_sets(context)
    boxes = torch.from_numpy(objects.xyxy)
    best = {name: fit_of(one, boxes)[0].numpy() for name, one in sets.items()}
    limit = setup.threshold
    note = ""
    if "designed" in sets:
        note = " Designed: as many shapes on the same levels, designed on half of these images."
    return Section(
        title="Coverage",
        blocks=[
            Grid(
                blocks=[
                    Figure(figure=draw.best_iou_histogram(best, threshold=limit)),
                    Figure(figure=draw.coverage_by_size(objects.root_area, best, threshold=limit)),
                ],
                caption=f"Best IoU of every object with any anchor"
                f"{' on the grid' if setup.thresholded else ', centres moved together'}; "
                f"covered means {limit:g} or more.{note}",
            ),
            *_by_class(context, best),
            *_by_level(context),
        ],
    )


def _by_class(context: Context, best: Mapping[str, Any]) -> list[Block]:
    setup, label = context.setup, context.fair.label
    assert setup is not None
    names = context.data.classes
    number = np.bincount(label, minlength=len(names))
    first = next(iter(best.values()))
    share = {
        i: float((first[label == i] >= setup.threshold).mean()) for i in np.flatnonzero(number)
    }
    chosen = sorted(share, key=lambda i: share[i])[:_CLASSES]
    scores = {
        name: [float((values[label == i] >= setup.threshold).mean()) for i in chosen]
        for name, values in best.items()
    }
    figure = draw.coverage_by_group(
        [names[i] for i in chosen],
        scores,
        counts=[int(number[i]) for i in chosen],
        title=f"share of objects with IoU >= {setup.threshold:g}",
    )
    more = f" The {_CLASSES} worst of {len(share)} classes." if len(share) > _CLASSES else ""
    return [Figure(figure=figure, caption=f"Coverage by class; objects beside the name.{more}")]


def _by_level(context: Context) -> list[Block]:
    """Which levels the best anchors of the objects stand on, and what they cover there."""
    setup, answers = context.setup, context.answers
    assert setup is not None
    if setup.grid.num_levels == 1:
        return []
    level = setup.grid.rows.level.numpy()[answers.best_shape]
    covered = answers.covered(setup.threshold)
    per_shape = np.add.reduceat(
        answers.per_shape, np.cumsum([0, *setup.grid.shapes_per_level[:-1]])
    )
    rows = []
    for i, stride in enumerate(setup.strides):
        mine = level == i
        rows.append(
            [
                f"stride {stride:g}",
                percent(float(mine.mean())),
                percent(float(covered[mine].mean())) if mine.any() else "–",
                int(per_shape[i]),
                setup.grid.anchors_per_level[i],
            ]
        )
    return [
        Table(
            columns=["level", "objects best served here", "covered of these", "positives",
                     "anchors an image"],
            rows=rows,
            caption="Levels: where the best anchor of an object stands.",
        )
    ]  # fmt: skip


def positives_section(context: Context) -> Section:
    """Positives per object, and what other thresholds would do."""
    setup, answers = context.setup, context.answers
    assert setup is not None
    counts = {"in use": answers.positives}
    if context.designed is not None:
        counts["designed"] = answer(context.designed.setup, context.sample).positives
    blocks: list[Block] = [
        Figure(
            figure=draw.positives_per_object(counts),
            caption=f"Anchors that answer for an object: {setup.rule}. The loss does not teach an "
            "object at 0.",
        )
    ]
    if setup.by_iou is not None:
        blocks += _sweeps(context, setup.by_iou)
    return Section(title="Positives", blocks=blocks)


def _sweeps(context: Context, assign: MaxIoU) -> list[Block]:
    over, now = context.overlaps, (assign.positive, assign.negative)
    best = recommend(over)
    left = [float((over.own < t).mean()) for t in POSITIVE]
    parts = [over.split(t, max(over.floor, t - (now[0] - now[1]))) for t in POSITIVE]
    lines = {
        name: [max(part[k], 0.5) / over.anchors for part in parts]
        for k, name in enumerate(("positive", "ignored", "negative"))
    }
    values = np.full((len(NEGATIVE), len(POSITIVE)), np.nan)
    for j, positive in enumerate(POSITIVE):
        for i, negative in enumerate(NEGATIVE):
            if negative <= positive:
                values[i, j] = 100 * over.split(positive, negative)[1] / over.anchors
    return [
        Grid(
            blocks=[
                Figure(
                    figure=draw.threshold_sweep(POSITIVE, {"objects left out": left}, chosen=now[0])
                ),
                Figure(figure=draw.threshold_sweep(POSITIVE, lines, chosen=now[0], log=True)),
            ],
            caption="Left: objects without an anchor of their own at a positive threshold, before "
            "the low-quality match. Right: what becomes of all anchors, the negative threshold "
            f"{now[0] - now[1]:.2g} below.",
        ),
        Figure(
            figure=draw.threshold_map(
                POSITIVE,
                NEGATIVE,
                values,
                title="ignored (%)",
                chosen=now,
                recommended=best if best != now else None,
            ),
            caption="Anchors that are ignored, for pairs of thresholds. Recommended: the highest "
            "positive threshold that leaves out at most 1 % of the objects (0.35 where none does).",
        ),
    ]


def headline(context: Context) -> Numbers:
    """The few numbers that matter."""
    setup, answers = context.setup, context.answers
    assert setup is not None
    counted = "candidates" if setup.by_predictions else "positives"
    shapes = "points" if setup.points else count(setup.grid.num_shapes, "shape")
    items = [
        (percent(float((answers.positives == 0).mean())), f"objects without {counted}", setup.rule),
        (f"{answers.positives.mean():.1f}", f"{counted} per object", "on average"),
        (f"{len(setup.grid):,}", "anchors an image", shapes),
    ]
    if setup.points:
        return Numbers(items=items)
    covered = float(answers.covered(setup.threshold).mean())
    items = [
        (percent(covered), "objects covered", f"best IoU of {setup.threshold:g} or more"),
        (f"{answers.best.mean():.3f}", "mean best IoU", "1 is a perfect fit"),
        *items,
    ]
    if context.designed is not None:
        after = float(context.designed.after.covered(setup.threshold).mean())
        items.insert(1, (percent(after), "with designed anchors", "on images held out"))
    return Numbers(items=items)
