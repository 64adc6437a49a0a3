"""The page's section about why a better fit did not detect better, written from its rows alone."""

import statistics
from typing import Any

from _record import table
from page_shapes import learned_shapes
from page_study import Rows, of, same, section, spread, unique
from paired import paired

# (what is asked, one side, the other), each a (start, anchors)
QUESTIONS = (
    ("five k-means shapes less one, squared errors", ("kmeans", "fixed"), ("one", "fixed")),
    ("five k-means shapes less one, cross-entropy", ("kmeans", "entropy"), ("one", "entropy")),
    ("cross-entropy less squared errors, five shapes", ("kmeans", "entropy"), ("kmeans", "fixed")),
    ("cross-entropy less squared errors, one shape", ("one", "entropy"), ("one", "fixed")),
    (
        "learned, the gradient goes on, less shapes that stay after the warm-up",
        ("identical", "learned_entropy"),
        ("identical", "still"),
    ),
    (
        "learned at the full rate less a tenth of it",
        ("identical", "fast"),
        ("identical", "learned_entropy"),
    ),
    ("learned less fixed, COCO's shapes, squared errors", ("coco", "learned"), ("coco", "fixed")),
    ("siblings positive less background, five shapes", ("kmeans", "positive"), ("kmeans", "fixed")),
    ("five shapes, siblings positive, less one shape", ("kmeans", "positive"), ("one", "fixed")),
    (
        "siblings positive less background, cross-entropy",
        ("kmeans", "entropy_positive"),
        ("kmeans", "entropy"),
    ),
    (
        "learned less fixed, identical shapes, siblings positive",
        ("identical", "learned_positive"),
        ("identical", "positive"),
    ),
    (
        "learned from identical shapes less fixed k-means, siblings positive",
        ("identical", "learned_positive"),
        ("kmeans", "positive"),
    ),
)


def suspects(rows: Rows) -> str:
    """A table for each data set and detector, and the answers; empty without rows."""
    return section(
        "## Why do shapes that fit better not detect better?\n\nYOLOv2 on a small network, one suspect each: "
        "`benchmarks/plans/suspects.yaml` says what each name sets. Every shape more is one more background anchor in every "
        "cell, for the same objects. `fixed`: objectness by squared errors of a sigmoid, as published; `entropy`: by "
        "cross-entropy; `light`: background weighs a fifth; `certain`: the goal is 1, not the IoU of the predicted box; `positive`: the "
        "cell's other shapes that fit by .4 answer too; `still`: after the warm-up no gradient moves the shapes, `fast`: at ten times the usual "
        "rate. AP50 in "
        "points, mean and standard deviation over seeds; differences are paired by seed, with a 95 % bootstrap interval.",
        rows, lines, answers,
    ) + curves(rows) + learned_shapes([row for row in rows if "curve" not in row])  # fmt: skip


def curves(rows: Rows) -> str:
    """AP50 along the longer runs, a line each; empty where none was scored on its way."""
    longer = [row for row in rows if "curve" in row]
    if not longer:
        return ""
    table_of = []
    for row in longer:
        line: dict[str, Any] = {k: row[k] for k in ("data", "detector", "anchors", "start", "seed")}
        done = row["curve"][-1][0]
        for epoch, value in row["curve"]:
            line[f"{epoch / done:.0%}"] = 100 * value
        table_of.append(line)
    return (
        "\n### How far they were trained\n\nAP50 in points along runs three times as long, after a share of their epochs. The learning "
        "rate falls along a cosine to the end, so that the last columns are flat where more steps of it would bring little.\n\n"
        f"{table(table_of)}\n"
    )


def lines(rows: Rows) -> Rows:
    """A line for each start and suspect."""
    out = []
    for anchors, start in unique((row["anchors"], row["start"]) for row in rows):
        mine = of(rows, start, anchors)
        out.append(
            {
                "suspect": anchors,
                "shapes": start,
                "seeds": len(mine),
                "fit": statistics.mean(row["fit"]["final"] for row in mine),
                "AP50": spread(mine),
                "AR@100": 100 * statistics.mean(row["scores"]["AR100"] for row in mine),
            }
        )
    return out


def answers(rows: Rows) -> str:
    """What the pairs of runs say, where there are any."""
    said = []
    for question, one, other in QUESTIONS:
        found = paired(rows, same(*one), same(*other))
        if found is not None:
            said.append(f"{question}: {found}")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}.\n" if said else ""
