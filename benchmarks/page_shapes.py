"""The page's tables about learned shapes where the objectness bears them, from the rows of the
suspects alone: against fixed ones, which aid does what, and how many."""

from _record import table
from page_study import Rows, fit, of, same, spread, unique
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
    table_of = []
    for data, detector, start in unique(
        (row["data"], row["detector"], row["start"])
        for row in rows
        if row["anchors"] == "learned_entropy" and row["start"] not in COUNTS
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
        found |= {
            f"AP {name}": paired(mine, ours, same(*less[name]), "AP")
            for name in ("less fixed from the same start", "less fixed k-means")
        }
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
        "\n### Learned against fixed shapes\n\nObjectness by cross-entropy, five shapes unless said, AP50 in points unless AP is said, paired by seed. "
        "The annealed warm-up forgets where it started, so that runs of one seed from different starts can be equal to the "
        f"last bit.\n\n{table(table_of)}\n"
    )


def aids(rows: Rows) -> str:
    """The ablation: what each way to warm up came to, a line for each data set and start."""
    table_of = []
    for data, detector, start in unique(
        (row["data"], row["detector"], row["start"]) for row in rows if row["anchors"] == "bare"
    ):
        mine = [row for row in rows if (row["data"], row["detector"]) == (data, detector)]
        for kind, words in AIDS.items():
            found = of(mine, start, kind)
            if not found:
                continue
            ours = same(start, kind)
            annealed = paired(mine, ours, same(start, "learned_entropy"))
            table_of.append(
                {
                    "data": data,
                    "start": start,
                    "warm-up": words,
                    "seeds": len(found),
                    "fit before": fit(found, "initial"),
                    "fit after": fit(found, "final"),
                    "AP50": spread(found),
                    "less fixed": str(paired(mine, ours, same(start, "entropy")) or "-"),
                    "less annealed": "" if kind == "learned_entropy" else str(annealed or "-"),
                }
            )
    if not table_of:
        return ""
    return (
        "\n### Which aid does what?\n\nThe same objectness and five shapes. *Annealed*: our warm-up, 15 % of the steps; *gradient*: "
        f"the paper's, half of them, and its two terms one by one. AP50 in points, paired by seed.\n\n{table(table_of)}\n"
    )


def counts(rows: Rows) -> str:
    """Fixed and learned shapes by how many there are."""
    table_of = []
    for data, detector in unique((row["data"], row["detector"]) for row in rows):
        mine = [row for row in rows if (row["data"], row["detector"]) == (data, detector)]
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
