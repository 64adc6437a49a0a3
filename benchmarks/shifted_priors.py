"""How detectors stand anchors that they were not trained with: AP with all shapes changed.

MetaAnchor's claim: layers that are a function of the shapes stand it better. Each run (of retinanet
and of metaanchor, say) is evaluated as it is, and with its shapes larger, smaller, wider and
higher by a factor.

    python benchmarks/shifted_priors.py runs/bccd_retinanet-0 runs/bccd_metaanchor-0
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from _record import record, table

from kedge.data import Data, read
from kedge.predict.detect import detect
from kedge.predict.score import score
from kedge.train.saved import load_run

CHANGES = {  # of width and of height
    "as trained": (1.0, 1.0),
    "1.25 x larger": (1.25, 1.25),
    "1.5 x larger": (1.5, 1.5),
    "2 x larger": (2.0, 2.0),
    "1.25 x smaller": (0.8, 0.8),
    "1.5 x smaller": (1 / 1.5, 1 / 1.5),
    "2 x smaller": (0.5, 0.5),
    "1.5 x wider": (1.5, 1.0),
    "1.5 x higher": (1.0, 1.5),
}


def rows_of(folder: Path, data: Data | None = None) -> list[dict[str, Any]]:
    """A row for every change of the shapes of a run; on its own data unless said."""
    run = load_run(folder)
    config, detector = run.config, run.detector
    if detector.shapes is None:
        raise ValueError(f"{folder}: {run.result.detector} has no shapes to change")
    data = data or read(config.data, config.eval_split or "val", config.on_bad_box)
    shapes, rows = detector.shapes.shapes, []
    for name, factor in CHANGES.items():
        detector.shapes.set_shapes_(shapes * torch.tensor(factor))
        found = detect(detector, data, config.image_size, batch_size=8, device=torch.device("cpu"))
        scores = score(found, data)
        rows.append({"detector": run.result.detector, "change": name, "run": folder.name,
                     "AP": scores["AP"], "AP50": scores["AP50"]})  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--name", default="shifted_priors", help="results/NAME.json")
    args = parser.parse_args()
    rows = [row for folder in args.runs for row in rows_of(folder)]
    print(table(rows))
    command = "python benchmarks/shifted_priors.py " + " ".join(map(str, args.runs))
    print(
        record(args.name, command, rows, sorted({load_run(run).config.seed for run in args.runs}))
    )


if __name__ == "__main__":
    main()
