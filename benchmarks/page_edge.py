"""The part of the page of benchmarks about detectors for small devices."""

from collections.abc import Callable
from typing import Any

from _record import table

Load = Callable[[str], dict[str, Any] | None]


def edge(load: Load, facts: Callable[[dict[str, Any]], str]) -> str:
    """The table of ``edge.py``, and what others published; nothing where it was not run."""
    result = load("edge")
    if result is None:
        return ""
    rows = [
        {
            "detector": row["row"],
            "parameters": f"{row['parameters']:,}",
            "MB": f"{row['MB']:.2f}",
            "int8": f"{row['MB int8']:.2f}",
            "ms, torch": f"{row['ms eager']:.1f}",
            "ONNX Runtime": f"{row['ms onnx']:.1f}",
            "int8 ": f"{row['ms int8']:.1f}",
            "AP bccd": percent(row["bccd AP"]),
            "int8  ": percent(row["bccd AP int8"]),
            "AP hit_uav": percent(row["hit_uav AP"]),
            "int8   ": percent(row["hit_uav AP int8"]),
        }
        for row in result["rows"]
    ]
    peers = [{key: "-" if v is None else v for key, v in row.items()} for row in result["peers"]]
    return (
        "\n## At the edge\n\nMegabytes of the ONNX file and milliseconds an image on one core at "
        f"{result['side']} x {result['side']} px, three classes, random weights, nothing selected; "
        "AP of one run of each recipe at the recipe's own input, in float and in int8. *-* was not "
        f"trained.\n\n{table(rows)}\n\n{facts(result)}\n"
        "What others published, on COCO's 80 classes: no AP here compares with one above. [A]: "
        "read in the README that is named; [C]: read in the code that goes with the weights. "
        "Numbers that were only seen in papers of others are left out.\n\n"
        f"{table(peers)}\n"
    )


def percent(ap: float | None) -> str:
    return "-" if ap is None else f"{100 * ap:.1f}"
