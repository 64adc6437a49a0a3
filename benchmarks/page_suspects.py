"""The page's section about why a better fit did not detect better, written from its rows alone."""

import statistics

from _record import table
from page_study import Rows, fit, of, same, section, spread, unique
from paired import paired

# (what is asked, one side, the other), each a (start, anchors)
QUESTIONS = (
    ("five k-means shapes less one, squared errors", ("kmeans", "fixed"), ("one", "fixed")),
    ("five k-means shapes less one, cross-entropy", ("kmeans", "entropy"), ("one", "entropy")),
    ("cross-entropy less squared errors, five shapes", ("kmeans", "entropy"), ("kmeans", "fixed")),
    ("cross-entropy less squared errors, one shape", ("one", "entropy"), ("one", "fixed")),
    ("learned less fixed, COCO's shapes, squared errors", ("coco", "learned"), ("coco", "fixed")),
)


def suspects(rows: Rows) -> str:
    """A table for each data set and detector, and the answers; empty without rows."""
    return section(
        "## Why do shapes that fit better not detect better?\n\nYOLOv2 on a small network, one suspect each: "
        "`benchmarks/plans/suspects.yaml` says what each name sets. Every shape more is one more background anchor in every "
        "cell, for the same objects. `fixed`: objectness by squared errors of a sigmoid, as published; `entropy`: by "
        "cross-entropy; `light`: background weighs a fifth; `certain`: the goal is 1, not the IoU of the predicted box. AP50 in "
        "points, mean and standard deviation over seeds; differences are paired by seed, with a 95 % bootstrap interval.",
        rows, lines, answers,
    ) + learned(rows)  # fmt: skip


def learned(rows: Rows) -> str:
    """Learned shapes against fixed ones where the objectness bears them: a line for each start."""
    table_of = []
    for data, detector, start in unique(
        (row["data"], row["detector"], row["start"])
        for row in rows
        if row["anchors"] == "learned_entropy"
    ):
        mine = [row for row in rows if (row["data"], row["detector"]) == (data, detector)]
        fixed, moved = of(mine, start, "entropy"), of(mine, start, "learned_entropy")
        ours = same(start, "learned_entropy")
        less = {
            "less fixed from the same start": (start, "entropy"),
            "less fixed k-means": ("kmeans", "entropy"),
            "less one k-means shape": ("one", "entropy"),
        }
        found = {name: paired(mine, ours, same(*other)) for name, other in less.items()}
        table_of.append(
            {
                "data": data,
                "start": start,
                "seeds": len(moved),
                "fit, fixed": fit(fixed, "final"),
                "fit, learned": fit(moved, "final"),
                "AP50, learned": spread(moved),
                **{name: str(value or "-") for name, value in found.items()},
            }
        )
    if not table_of:
        return ""
    return (
        "\n### Learned against fixed shapes\n\nObjectness by cross-entropy, five shapes unless said, AP50 in points, paired by seed. "
        "The annealed warm-up forgets where it started, so that runs of one seed from different starts can be equal to the "
        f"last bit.\n\n{table(table_of)}\n"
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
