"""The page's section about strategies in their own detectors, written from its rows alone."""

import statistics
from itertools import pairwise

from page_study import Rows, section, spread, unique
from paired import paired

CLAIM = ("fcos", "atss", "paa", "lada")  # the order of the literature, ascending
SIZES = {"small": "APs", "medium": "APm", "large": "APl"}


def strategies_study(rows: Rows) -> str:
    """A table for each data set, the claimed order, and the best by size; empty without rows."""
    return section(
        "## Which strategy when?\n\nEach rule in the detector that it was published in, with its own head, losses and branch, "
        "on one small network under one budget (`benchmarks/plans/strategies.yaml`); unlike in the table of strategies below, where "
        "every rule has RetinaNet's head and loss. Rules without a detector of their own are on RetinaNet, with shapes of k-means; `rfla_fields` is RFLA "
        "on one anchor a cell, half the receptive field of its level, as its authors ask. Points: AP50 with its standard deviation over seeds, AP, AP by size, "
        "average recall.",
        [row | {"rule": row["detector"], "detector": "every rule"} for row in rows], lines, answers,
    )  # fmt: skip


def lines(rows: Rows) -> Rows:
    """A line for each rule, the highest AP first."""
    out = []
    for rule in unique(row["rule"] for row in rows):
        mine = [row for row in rows if row["rule"] == rule]
        out.append(
            {
                "detector": rule,
                "seeds": len(mine),
                "AP50": spread(mine),
                "AP": mean(mine, "AP"),
                **{size: mean(mine, key) for size, key in SIZES.items()},
                "AR@100": mean(mine, "AR100"),
            }
        )
    return sorted(out, key=lambda line: -line["AP"])


def mean(rows: Rows, score: str) -> float:
    """Of a score, in points."""
    return 100 * statistics.mean(row["scores"][score] for row in rows)


def answers(rows: Rows) -> str:
    """Whether the claimed order holds, pair by pair, and who is best at what."""
    found = lines(rows)
    said = []
    for lower, higher in pairwise(CLAIM):
        gain = paired(rows, named(higher), named(lower), "AP")
        if gain is not None:
            said.append(f"{higher} less {lower} {gain}")
    text = f"The order of the literature is {' < '.join(CLAIM)}; AP here: {'; '.join(said)}. "
    best = {size: max(found, key=lambda line, size=size: line[size])["detector"] for size in SIZES}
    ranks = ", ".join(f"{name} objects {best[name]}" for name in SIZES)
    few = [line["detector"] for line in found if line["seeds"] < 3]
    seeds = f" Fewer than three seeds, so no order is certain: {', '.join(few)}." if few else ""
    return f"{text if said else ''}Highest AP by size: {ranks}.{seeds}\n"


def named(rule: str):
    """Whether a row is of this rule."""
    return lambda row: row["rule"] == rule
