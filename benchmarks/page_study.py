"""The page's section about the study of learned anchors, written from its rows alone."""

import json
import statistics
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from _record import table
from paired import paired

Rows = list[dict[str, Any]]


def study_rows(path: Path, name: str) -> Rows:
    """The finished runs of a study."""
    if not path.exists():
        return []
    rows = (json.loads(line) for line in path.read_text().splitlines())
    return [row for row in rows if row["study"] == name]


def study(rows: Rows) -> str:
    """A table for each data set and detector; empty where no run is finished."""
    return section(
        "## Do learned anchors help?\n\nAP50 in points, mean and standard deviation over seeds; *gain*: the paired "
        "difference to fixed shapes from the same start, *to one shape*: to a single fixed k-means shape, *to k-means*: to fixed "
        "k-means shapes, each with a 95 % bootstrap interval over seeds. *Learned*: after the annealed warm-up; *placed*: after the "
        "one that designs them for the first objects and the cells of each map, *still*: and then stay, *fast*: and then move at "
        "ten times the usual rate; *settled*: from where they start, by the detector's gradient alone; *by class*: chosen so that every class "
        "counts the same. *Fit*: mean best IoU of the shapes with the training boxes.",
        rows, lines, said,
    ) + balance(rows)  # fmt: skip


# what counts the same, the shapes, and start and anchors with and without
SAME: list[tuple[str, str, tuple[str, str], tuple[str, str]]] = [
    ("classes", "k-means", ("kmeans", "by_class"), ("kmeans", "fixed")),
    ("classes", "learned", ("identical", "placed_by_class"), ("identical", "placed")),
    ("objects", "k-means", ("kmeans", "per_object"), ("kmeans", "fixed")),
    ("objects", "learned", ("identical", "placed_per_object"), ("identical", "placed")),
    ("objects", "identical", ("identical", "per_object"), ("identical", "fixed")),
]


def balance(rows: Rows) -> str:
    """What it brings that every class, or every object, counts the same."""
    out = []
    for data, detector, mine in by_data(rows):
        for what, shapes, one, other in SAME:
            found = paired(mine, same(*one), same(*other))
            if found is None:
                continue
            line = {"data": data, "detector": detector, "the same": what, "shapes": shapes}
            scores = [s for s in ("AP50", "AP", "AP75") if all(s in r["scores"] for r in mine)]
            line |= {score: str(paired(mine, same(*one), same(*other), score)) for score in scores}
            out.append(line | {"AP50 of classes": of_classes(mine, same(*one), same(*other))})
    if not out:
        return ""
    return (
        "\n### What counts the same\n\nPaired differences by seed, in points. *Classes*: shapes for which every class counts the same "
        "(`--balance classes`), less those for which every object does. *Objects*: a loss in which every object counts the same "
        "(`--loss per_object=true`), less one in which every positive anchor does.\n\n"
        f"{table(out)}\n"
    )


def of_classes(rows: Rows, one: Callable[[Any], bool], other: Callable[[Any], bool]) -> str:
    """The mean paired difference of every class's AP50, in points."""
    first, second = (
        {r["seed"]: r["AP50 by class"] for r in rows if kind(r)} for kind in (one, other)
    )
    shared = sorted(first.keys() & second.keys())
    names = first[shared[0]]
    gain = {n: statistics.mean(100 * (first[s][n] - second[s][n]) for s in shared) for n in names}
    return ", ".join(f"{name} {value:+.1f}" for name, value in gain.items())


def section(
    text: str, rows: Rows, lines: Callable[[Rows], Rows], said: Callable[[Rows], str]
) -> str:
    """The text, and of each data set and detector the lines of a table and what they say."""
    if not rows:
        return ""
    parts = []
    for data, detector, mine in by_data(rows):
        parts.append(f"### `{data}`, `{detector}`\n\n{table(lines(mine))}\n\n{said(mine)}")
    commits = ", ".join(unique(row["commit"] for row in rows))
    made = f"{len(rows)} runs, `results/study.jsonl`, at {commits}.\n"
    return f"\n{text}\n\n" + "\n".join(parts) + f"\n{made}"


def by_data(rows: Rows) -> Iterator[tuple[str, str, Rows]]:
    """Data set, detector, and the rows of each such two."""
    for data, detector in unique((row["data"], row["detector"]) for row in rows):
        yield (
            data,
            detector,
            [row for row in rows if (row["data"], row["detector"]) == (data, detector)],
        )


def starts_of(rows: Rows, anchors: str) -> list[str]:
    """The starts of the runs of this kind."""
    return unique(row["start"] for row in rows if row["anchors"] == anchors)


def spread(rows: Rows) -> str:
    """Mean AP50 in points, and its deviation over seeds."""
    scores = [100 * row["scores"]["AP50"] for row in rows]
    over = f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
    return f"{statistics.mean(scores):.1f}{over}"


def lines(rows: Rows) -> Rows:
    """A line for each start and kind of anchors."""
    out = []
    for start, anchors in unique((row["start"], row["anchors"]) for row in rows):
        mine = of(rows, start, anchors)
        gain = paired(rows, same(start, anchors), same(start, "fixed"))
        single = paired(rows, same(start, anchors), same("one", "fixed"))
        fitted = paired(rows, same(start, anchors), same("kmeans", "fixed"))
        out.append(
            {
                "start": start,
                "anchors": anchors,
                "seeds": len(mine),
                "AP50": spread(mine),
                "gain": "" if anchors == "fixed" else str(gain or "-"),
                "to one shape": "" if start == "one" else str(single or "-"),
                "to k-means": "" if (start, anchors) == ("kmeans", "fixed") else str(fitted or "-"),
                "fit before": fit(mine, "initial"),
                "fit after": fit(mine, "final"),
            }
        )
    return out


def said(rows: Rows) -> str:
    """What the rows bear, counted."""
    kinds: dict[str, list[str]] = {"+": [], "-": [], "~": [], "few": []}
    for start, anchors in unique((row["start"], row["anchors"]) for row in rows):
        found = paired(rows, same(start, anchors), same(start, "fixed"))
        if anchors != "fixed" and found is not None:
            kinds["few" if found.pairs < 3 else found.verdict].append(f"{anchors} from {start}")
    words = {
        "+": "Better than fixed",
        "-": "Worse than fixed",
        "~": "Not told apart",
        "few": "Fewer than three seeds, so nothing can be told",
    }
    told = [f"{words[k]}: {', '.join(v)}. " for k, v in kinds.items() if v]
    for start in starts_of(rows, "placed"):
        for other in ("still", "fast"):
            found = paired(rows, same(start, "placed"), same(start, other))
            if found is not None:
                told.append(f"From {start}, placed less {other}: {found}. ")
    return "".join(told).strip() + "\n"


def of(rows: Rows, start: str, anchors: str) -> Rows:
    return [row for row in rows if same(start, anchors)(row)]


def same(start: str, anchors: str):
    """Whether a row is of this start and kind."""
    return lambda row: (row["start"], row["anchors"]) == (start, anchors)


def fit(rows: Rows, station: str) -> str:
    values = [row["fit"].get(station) for row in rows]
    known = [value for value in values if value is not None]
    return f"{statistics.mean(known):.3f}" if known else "-"


def unique(values: Iterable[Any]) -> list[Any]:
    """Each once, in the order of their first."""
    return list(dict.fromkeys(values))
