"""Every detector by its recipe: AP, steps, seconds, parameters, recall of its proposals.

Finished runs are kept in ``--runs`` and not trained again; an interrupted one goes on where it
stopped. Every row names the commit that its run was made at; rows of recipes that are not named
stay in the file.

    python benchmarks/detectors.py recipes/bccd*.yaml --second recipes/bccd_yolof.yaml
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from _record import commit, hardware, record, table, with_earlier

from kedge.train.config import load_config
from kedge.train.result import RunResult
from kedge.train.run import train
from kedge.train.saved import load_run

BAR = 0.80  # AP50 that a recipe for the blood cells, or for toy data, has to reach
BARS = {"cornernet": 0.70, "extremenet": 0.70, "ga_rpn": None}  # one finds no classes


def run(recipe: Path, seed: int, runs: Path) -> tuple[RunResult, dict[str, Any]]:
    """The run of a recipe, made now or before, and what is known about the making."""
    config = load_config(recipe, {"seed": seed, "out": runs / f"{recipe.stem}-{seed}"})
    print(f"{time.strftime('%H:%M:%S')} {config.out.name}", file=sys.stderr, flush=True)
    note = config.out / "made.json"
    began = {"commit": commit(), "load": round(os.getloadavg()[0], 1), **hardware()}
    result = train(config, resume=True)
    if not note.exists():
        note.write_text(json.dumps(began))
    return result, json.loads(note.read_text())


def row(recipe: Path, seed: int, runs: Path) -> dict[str, Any]:
    """What a run came to."""
    result, made = run(recipe, seed, runs)
    found = load_run(result.out)
    weights = sum(p.numel() for p in found.detector.parameters())
    scores = {name: result.scores.get(name) for name in ("AP", "AP50", "AP75")}
    bar = None if recipe.stem.startswith("hit_uav") else BARS.get(result.detector, BAR)
    proposals = {n: result.scores.get(n) for n in ("AR@50", "AR@100")}  # None: it proposes none
    return {
        "recipe": recipe.stem,
        "detector": result.detector,
        "seed": seed,
        **scores,
        "bar": bar,
        "reaches the bar": None if bar is None else (scores["AP50"] or 0.0) >= bar,
        "steps": result.steps,
        "seconds": round(result.seconds),
        "seconds per step": result.seconds_per_step,
        "parameters": weights,
        **proposals,
        "commit": made["commit"],
        "load": made["load"],
    }


def command_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """What makes all these rows."""
    words = ["python benchmarks/detectors.py"]
    words += sorted(f"recipes/{row['recipe']}.yaml" for row in rows if row["seed"] == 0)
    second = sorted(f"recipes/{row['recipe']}.yaml" for row in rows if row["seed"] == 1)
    return " ".join([*words, "--second", *second] if second else words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--second", nargs="*", type=Path, default=[], help="recipes that seed 1 is shown of, too"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/detectors"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--name", default="detectors", help="results/NAME.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    wanted = [(recipe, seed) for recipe in args.recipes for seed in args.seeds]
    wanted += [(recipe, 1) for recipe in args.second]
    rows = [row(recipe, seed, args.runs) for recipe, seed in wanted]
    rows = with_earlier(args.name, rows, "recipe", "seed")
    rows.sort(key=lambda found: -(found["AP50"] or 0.0))
    print(record(args.name, command_of(rows), rows, sorted({found["seed"] for found in rows})))
    print(table(rows))


if __name__ == "__main__":
    main()
