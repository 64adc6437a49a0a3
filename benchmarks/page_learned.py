"""The part of the page of benchmarks about learned shapes in every detector, from its rows alone."""

from collections.abc import Callable
from typing import Any

from _record import table
from paired import bootstrap

Load = Callable[[str], dict[str, Any] | None]
Verdicts = dict[str, list[str]]  # detectors, by the sign of a gain
GAINS, AGAINST = ("learned", "placed", "kmeans"), "placed against kmeans"


def learned_detectors(load: Load, facts: Callable[[dict[str, Any]], str]) -> str:
    """The table of ``learned_detectors.py`` and who gains; nothing where it was not run."""
    result = load("learned_detectors")
    if result is None:
        return ""
    words: dict[str, Verdicts] = {kind: empty() for kind in (*GAINS, AGAINST)}
    rows = []
    for row in result["rows"]:
        if row["anchors"] == "fixed":
            of = {"fixed": row}
            rows.append(line(row, "-"))
            continue
        of[row["anchors"]] = row
        assert of["fixed"]["detector"] == row["detector"]
        rows.append(line(row, count(words[row["anchors"]], row, of["fixed"])))
        if row["anchors"] == "kmeans" and "placed" in of:
            count(words[AGAINST], of["placed"], row)
    return (
        "\n## Learned anchors in every detector with shapes\n\nToy data, from the paper's worst start (all shapes of a map "
        "alike), fixed or learned; *placed*: learned after the warm-up that designs them for the first objects and the cells of each map "
        "(`--warmup placed`; the same on one map); *kmeans*: chosen from all boxes before the training, for the cells of each map, and fixed; "
        "*yolov3 siblings*: `--assign yolov3:siblings=positive`. Mean and deviation over seeds, and the paired gain over fixed shapes that are all alike with a 95 % "
        "bootstrap interval, which is narrower than a true one over so few seeds. *Maps*: how many anchors of each map, the finest "
        f"first, answer for the objects of the scored images by the shapes at the end (seed 0).\n\n{table(rows)}\n\n"
        + "".join(
            f"{said(kind, found)}\n\n" for kind, found in words.items() if any(found.values())
        )
        + "Learned shapes after the annealed warm-up spread the objects over the maps, where the fixed ones, of 40 px and more, "
        "leave nearly all to the finest. In a picture of 128 x 160 px the coarse maps have few cells (stride 32: 20).\n\n"
        + facts(result)
    )


def empty() -> Verdicts:
    return {"+": [], "~": [], "-": []}


def count(words: Verdicts, row: dict[str, Any], other: dict[str, Any]) -> str:
    """The paired gain of one line over another, which is counted."""
    gain = bootstrap([a - b for a, b in zip(seeds(row), seeds(other), strict=True)])
    words[gain.verdict].append(f"{row['detector']} ({gain.mean:+.1f})")
    return str(gain)


def said(kind: str, found: dict[str, list[str]]) -> str:
    """Who gains by it."""
    clauses = ("rises in", "is not told apart in", "falls in")
    some = [f"{verb} {', '.join(names)}" for verb, names in zip(clauses, found.values()) if names]
    return f"*{kind}*: AP50 {'; '.join(some)}."


def seeds(row: dict[str, Any]) -> list[float]:
    """AP50 in points, seed by seed."""
    return [float(value) for value in row["AP50 of each seed"].split(", ")]


def line(row: dict[str, Any], gain: str) -> dict[str, str]:
    """A row as it is shown."""

    def both(name: str) -> str:
        return f"{row[name]:.1f} ± {row[f'{name} std']:.1f}" if name in row else "-"

    return {
        "detector": f"`{row['detector']}`",
        "anchors": row["anchors"],
        "AP50": both("AP50"),
        "gain": gain,
        "AP": both("AP"),
        "AR@50": both("AR@50"),
        "AR@100": both("AR@100"),
        "fit at the end": f"{row['fit final']:.3f}",
        "maps": row["answers on each map"],
    }
