"""The page's tables about learned shapes where the objectness bears them, from the rows of the
suspects alone: against fixed ones, which aid does what, and how many."""

from typing import Any

from _record import table
from page_study import Rows, by_data, fit, of, same, spread, starts_of
from paired import paired

AIDS = {
    "learned_entropy": "annealed",
    "scale_only": "annealed, batch norm without shift",
    "gradient": "gradient: soft assignment and clustering",
    "hard": "gradient: clustering alone",
    "unclustered": "gradient: soft assignment alone",
    "bare": "none: the detector's gradient alone",
}
COUNTS = {"one": 1, "two": 2, "three": 3, "kmeans": 5, "seven": 7, "nine": 9}


def learned_shapes(rows: Rows) -> str:
    """The three tables; empty where no such run is finished."""
    return learned(rows) + aids(rows) + counts(rows)


def learned(rows: Rows) -> str:
    """Learned shapes against fixed ones where the objectness bears them: a line for each start."""
    table_of = [
        against_fixed(data, mine, start)
        for data, _, mine in by_data(rows)
        for start in starts_of(mine, "learned_entropy")
        if start not in COUNTS
    ]
    if not table_of:
        return ""
    return (
        "\n### Learned against fixed shapes\n\nObjectness by cross-entropy, five shapes unless said, AP50 in points unless AP is said, paired by seed. "
        "The annealed warm-up forgets where it started, so that runs of one seed from different starts can be equal to the "
        f"last bit.\n\n{table(table_of)}\n"
    )


def against_fixed(data: str, rows: Rows, start: str) -> dict[str, Any]:
    """A line of it."""
    fixed, moved = of(rows, start, "entropy"), of(rows, start, "learned_entropy")
    less = {
        "less fixed from the same start": (start, "entropy"),
        "less fixed k-means": ("kmeans", "entropy"),
        "less one k-means shape": ("one", "entropy"),
    }

    def gain(name: str, score: str = "AP50") -> str:
        ours, other = same(start, "learned_entropy"), same(*less[name])
        return str(paired(rows, ours, other, score) or "-")

    return {
        "data": data,
        "start": start,
        "seeds": len(moved),
        "fit, fixed": fit(fixed, "final"),
        "fit, learned": fit(moved, "final"),
        "AP50, learned": spread(moved),
        **{name: gain(name) for name in less},
        **{f"AP {name}": gain(name, "AP") for name in list(less)[:2]},
    }


def aids(rows: Rows) -> str:
    """The ablation: what each way to warm up came to, a line for each data set and start."""
    table_of = [
        by_aid(data, mine, start, kind)
        for data, _, mine in by_data(rows)
        for start in starts_of(mine, "bare")
        for kind in AIDS
        if of(mine, start, kind)
    ]
    if not table_of:
        return ""
    return (
        "\n### Which aid does what?\n\nThe same objectness and five shapes. *Annealed*: our warm-up, 15 % of the steps; *gradient*: "
        f"the paper's, half of them, and its two terms one by one. AP50 in points, paired by seed.\n\n{table(table_of)}\n"
    )


def by_aid(data: str, rows: Rows, start: str, kind: str) -> dict[str, Any]:
    """A line of it."""
    found, ours = of(rows, start, kind), same(start, kind)
    annealed = paired(rows, ours, same(start, "learned_entropy"))
    return {
        "data": data,
        "start": start,
        "warm-up": AIDS[kind],
        "seeds": len(found),
        "fit before": fit(found, "initial"),
        "fit after": fit(found, "final"),
        "AP50": spread(found),
        "less fixed": str(paired(rows, ours, same(start, "entropy")) or "-"),
        "less annealed": "" if kind == "learned_entropy" else str(annealed or "-"),
    }


def counts(rows: Rows) -> str:
    """Fixed and learned shapes by how many there are."""
    table_of = []
    for data, _, mine in by_data(rows):
        known = [start for start in COUNTS if of(mine, start, "entropy")]
        if len(known) < 3:
            continue
        for start in known:
            fixed, moved = of(mine, start, "entropy"), of(mine, start, "learned_entropy")
            five = paired(mine, same(start, "entropy"), same("kmeans", "entropy"))
            gain = paired(mine, same(start, "learned_entropy"), same(start, "entropy"))
            table_of.append(
                {
                    "data": data,
                    "shapes": COUNTS[start],
                    "seeds": len(fixed),
                    "fit, k-means": fit(fixed, "final"),
                    "AP50, k-means": spread(fixed),
                    "less five": "" if start == "kmeans" else str(five or "-"),
                    "fit, learned": fit(moved, "final"),
                    "AP50, learned": spread(moved) if moved else "-",
                    "learned less k-means": str(gain or "-"),
                }
            )
    if not table_of:
        return ""
    return (
        "\n### How many shapes?\n\nThe same objectness; shapes of k-means that stay, and learned from them. AP50 in points, paired "
        f"by seed.\n\n{table(table_of)}\n"
    )
