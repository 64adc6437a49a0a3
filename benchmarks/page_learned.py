"""The part of the page of benchmarks about learned shapes in every detector, from its rows alone."""

from collections.abc import Callable
from typing import Any

from _record import table
from paired import bootstrap

Load = Callable[[str], dict[str, Any] | None]


def learned_detectors(load: Load, facts: Callable[[dict[str, Any]], str]) -> str:
    """The table of ``learned_detectors.py`` and who gains; nothing where it was not run."""
    result = load("learned_detectors")
    if result is None:
        return ""
    by_verdict: dict[str, list[str]] = {"+": [], "~": [], "-": []}
    rows = []
    for fixed, learned in zip(result["rows"][::2], result["rows"][1::2], strict=True):
        assert (fixed["anchors"], learned["anchors"]) == ("fixed", "learned")
        pairs = zip(seeds(learned), seeds(fixed), strict=True)
        gain = bootstrap([one - other for one, other in pairs])
        by_verdict[gain.verdict].append(f"{fixed['detector']} ({gain.mean:+.1f})")
        rows += [line(fixed, "-"), line(learned, str(gain))]
    better, open_, worse = (", ".join(names) or "none" for names in by_verdict.values())
    return (
        "\n## Learned anchors in every detector with shapes\n\nToy data, from the paper's worst start (all shapes of a map "
        "alike), fixed or learned; mean and deviation over seeds, and the paired gain with a 95 % bootstrap interval, which is "
        "narrower than a true one over so few seeds. *Maps*: how many anchors of each map, the finest first, answer for the "
        f"objects of the scored images by the shapes at the end (seed 0).\n\n{table(rows)}\n\n"
        f"AP50 rises in: {better}. Not told apart: {open_}. Falls in: {worse}.\n\n"
        "Learned shapes spread the objects over the maps, where the fixed ones, of 40 px and more, leave nearly all to the "
        "finest. In a picture of 128 x 160 px the coarse maps have few cells (stride 32: 20). That is a likely reason for what "
        "YOLOv3 loses, whose rule sends an object to the map of its best shape alone; it was not tested by itself, and SSD and "
        f"RefineDet gain though they are spread as well.\n\n{facts(result)}"
    )


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
