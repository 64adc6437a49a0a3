"""Positives per object, image, level and shape."""

from typing import Any

import numpy as np

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent
from kedge.doctor.objects import BANDS, band_of


def check(context: Context) -> list[Finding]:
    """A note with the distribution; a warning where whole levels never answer."""
    setup = context.setup
    if setup is None or len(context.fair) == 0:
        return []
    answers, band = context.answers, band_of(context.fair.root_area)
    per_level = _per_level(context)
    by_size = {
        name: float(answers.positives[band == i].mean())
        for i, name in enumerate(BANDS)
        if (band == i).any()
    }
    low, middle, high = np.percentile(answers.positives, (10, 50, 90)).tolist()
    idle = [f"{stride:g}" for stride, n in zip(setup.strides, per_level) if n == 0]
    words = ", ".join(f"{name} {value:.1f}" for name, value in by_size.items())
    total = max(1, int(answers.per_shape.sum()))
    anchors = setup.grid.anchors_per_level
    kind = "candidate anchors" if setup.by_predictions else "positive anchors"
    spared = sum(n for n, used in zip(anchors, per_level) if used == 0) / len(setup.grid)
    return [
        Finding(
            check="positives",
            severity="warning" if idle else "note",
            symptom=f"{answers.positives.mean():.1f} {kind} per object ({words})"
            + (f"; none on stride {', '.join(idle)}" if idle else ""),
            evidence={
                **context.note_of_sample(),
                "per_object": {"p10": low, "median": middle, "p90": high},
                "objects_by_positives": _histogram(answers.positives),
                "per_object_by_size": by_size,
                "per_image": {
                    "mean": float(answers.per_image.mean()),
                    "images_without": int((answers.per_image == 0).sum()),
                },
                "share_by_stride": {f"{s:g}": n / total for s, n in zip(setup.strides, per_level)},
                "by_shape": shape_table(context),
            },
            cause=_cause(context, by_size, idle),
            cure=f"Leave out the levels of stride {', '.join(idle)}, where the detector lets you."
            if idle
            else "Nothing to do.",
            predicted={
                "text": f"{percent(spared)} of all anchors fewer, no positive of these images lost",
                "anchors_spared": spared,
            }
            if idle
            else None,
            unpredicted="" if idle else "a description, nothing is wrong",
        )
    ]


def _cause(context: Context, by_size: dict[str, float], idle: list[str]) -> str:
    setup = context.setup
    assert setup is not None
    if idle:
        return _idle_sizes(context)
    if setup.by_predictions:
        return "Which of them become positive is decided by what the detector predicts."
    most = int(context.answers.positives.max())
    if most <= 1:
        return "No object has more than one: so the rule says."
    values = list(by_size.values())
    if len(values) > 1 and values == sorted(values):
        return "The larger the objects, the more anchors answer for them."
    return f"The most that one object has is {most:,}."


def _idle_sizes(context: Context) -> str:
    """The sizes of the objects, and of the anchors that answer for none."""
    setup, side = context.setup, context.fair.root_area
    assert setup is not None
    text = f"The objects measure {side.min():.0f} to {side.max():.0f} px (square root of the area)"
    if setup.points:
        return f"{text}."
    silent = np.isin(
        setup.grid.rows.level.numpy(), np.flatnonzero(np.array(_per_level(context)) == 0)
    )
    sizes = np.sqrt(setup.grid.shapes.numpy().prod(axis=1))[silent]
    low, high = f"{sizes.min():.0f}", f"{sizes.max():.0f}"
    span = low if low == high else f"{low} to {high}"
    return f"{text}, the anchors of these levels {span} px."


def _per_level(context: Context) -> list[int]:
    setup = context.setup
    assert setup is not None
    ends = np.cumsum(setup.grid.shapes_per_level)
    return [int(part.sum()) for part in np.split(context.answers.per_shape, ends[:-1])]


def _histogram(positives: Any) -> dict[str, float]:
    edges = (0, 1, 2, 3, 5, 10, 20, 50)
    names = ("0", "1", "2", "3-4", "5-9", "10-19", "20-49", "50+")
    place = np.digitize(positives, edges[1:])
    share = np.bincount(place, minlength=len(edges)) / max(1, len(positives))
    return dict(zip(names, share.tolist()))


def shape_table(context: Context) -> list[dict[str, Any]]:
    """Stride, width, height and share of the positives of every shape."""
    setup, answers = context.setup, context.answers
    assert setup is not None
    level = setup.grid.rows.level.tolist()
    total = max(1, int(answers.per_shape.sum()))
    return [
        {"stride": setup.strides[i], "w": w, "h": h, "share": int(n) / total}
        for i, (w, h), n in zip(level, setup.grid.shapes.tolist(), answers.per_shape)
    ]
