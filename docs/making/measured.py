"""What results/*.json says of one strategy or one detector, as tables."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from written import ROOT

SPEED = ("max_iou", "fixed", "predictions")  # assign_speed_*.json beside a dense form


@cache
def results(name: str) -> dict[str, Any]:
    """A file of results."""
    return json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))


def number(value: float | None, digits: int = 3) -> str:
    """A few digits, without an exponent; a dash for nothing."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown of rows with the same keys."""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([str(cell) for cell in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def made_by(result: dict[str, Any]) -> str:
    """How a result came to be."""
    hardware, threads = result["hardware"], result["hardware"]["torch_threads"]
    return (
        f"*`{result['command']}`, commit {result['commit']}, {result['date']}: "
        f"{hardware['processor']}, {threads} thread{'s' if threads > 1 else ''}, "
        f"torch {result['versions']['torch']}.*"
    )


def _share(row: dict[str, Any]) -> str:
    if "equal" not in row:
        return "-"
    return "100 %" if row["differ"] == 0 else f"{min(100 * row['equal'], 99.999):.3f} %"


def _timed(row: dict[str, Any], against: str) -> dict[str, str]:
    return {
        "form": row["strategy"],
        "beside": against,
        "image": row["image"],
        "batch": str(row["batch"]),
        "anchors": f"{row['anchors']:,}",
        "objects": f"{row['objects']:,}",
        "Kedge ms": number(row.get("kedge ms")),
        "other ms": row.get("left out") or number(row.get("other ms")),
        "Kedge MB": number(row.get("kedge MB")),
        "other MB": number(row.get("other MB")),
        "equal labels": _share(row),
    }


def _of(rows: list[dict[str, Any]], title: str) -> list[dict[str, Any]]:
    """The rows of a strategy and of its variants ("FCOS centre", "Uniform, predictions")."""
    return [row for row in rows if row["strategy"].replace(",", "").split()[0] == title]


def cost(title: str) -> str:
    """Time and memory of a strategy beside a dense form of the same rule; empty if not measured."""
    parts = []
    for group in SPEED:
        result = results(f"assign_speed_{group}")
        found = [row for row in _of(result["rows"], title) if row["sizes"] == "scene"]
        if found:
            rows = [_timed(row, "a dense form") for row in found]
            parts += [table(rows), made_by(result)]
    return "\n\n".join(parts)


def peers(title: str) -> str:
    """Labels, time and memory beside other libraries' own code; empty if not measured."""
    result = results("assign_speed_peers")
    found = [row for row in _of(result["rows"], title) if row["sizes"] == "scene"]
    if not found:
        return ""
    return "\n\n".join([table([_timed(row, row["against"]) for row in found]), made_by(result)])


def reached(name: str) -> str:
    """What a strategy reached with the one detector and the one budget of all; empty without."""
    result = results("strategies")
    rows = sorted(result["rows"], key=lambda row: -row["AP"])
    place = next((i for i, row in enumerate(rows) if row["strategy"] == name), None)
    if place is None:
        return ""
    row, settings = rows[place], result["settings"]
    data = Path(settings["data"]).name
    facts = {
        "AP": f"{row['AP']:.1f} ± {row['AP std']:.1f}",
        "AP50": f"{row['AP50']:.1f} ± {row['AP50 std']:.1f}",
        "AP75": f"{row['AP75']:.1f} ± {row['AP75 std']:.1f}",
        "place by AP": f"{place + 1} of {len(rows)}",
        "data": f"{data}, {settings['split']}",
        "epochs": settings["epochs"],
        "seeds": row["seeds"],
    }
    return f"{table([facts])}\n\n{made_by(result)}"


def trained(recipe: str) -> str:
    """What a recipe reached, with every seed; empty if nobody trained it for the table."""
    rows = [row for row in results("detectors")["rows"] if row["recipe"] == recipe]
    facts = [
        {
            "recipe": f"`recipes/{recipe}.yaml`",
            **{key: f"{row[key]:.3f}" for key in ("AP", "AP50", "AP75")},
            "steps": f"{row['steps']:,}",
            "seconds": f"{row['seconds']:,}",
            "parameters": f"{row['parameters']:,}",
            "seed": row["seed"],
            "commit": row["commit"],
        }
        for row in sorted(rows, key=lambda row: row["seed"])
    ]
    return table(facts) if facts else ""


def listed(title: str, what: str, how: str, rows: list[dict[str, Any]]) -> str:
    """The page that lists others: ``what`` they are, and ``how`` to choose."""
    return f"# {title}\n\n{what} Which to take: {how}.\n\n{table(rows)}\n"
