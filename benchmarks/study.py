"""A study: data x detector x anchors x start x seed, each a run, each finished run a row.

    python benchmarks/study.py benchmarks/plans/learned_anchors.yaml  # goes on where it stopped
    python benchmarks/study.py PLAN --list                            # what is done, what is not
    python benchmarks/study.py PLAN --only hit_uav/yolov2 --seeds 2

Start it twice to train two runs at a time: each takes what the other is not at. A run that was
killed goes on from its last epoch; a finished one is a row of ``results/study.jsonl``, whatever
happens afterwards, and is trained again only where that row is taken out. The page is written by
``benchmarks/page.py``.

A plan is YAML: ``name``; ``common`` settings of all runs; ``data``, ``detectors``, ``anchors`` and
``starts``, each a mapping of names to settings (those of ``kedge train``), the later beating the
former; ``seeds``, a number; ``cells``, a list of {data, detectors, anchors, starts, seeds} where
each is a name or a list of them, by default all; a detector's own settings may say ``seeds``.
"""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from _record import ROOT, commit, hardware, table, versions

from kedge.files import write_text
from kedge.train.config import TrainConfig, make_config
from kedge.train.result import SCORES, RunResult
from kedge.train.run import train

AXES = ("data", "detectors", "anchors", "starts")
ROWS = ROOT / "results" / "study.jsonl"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of a plan."""

    study: str
    names: tuple[str, str, str, str]  # of each axis
    seed: int
    config: TrainConfig

    @property
    def key(self) -> str:
        """What tells it from all others, and where it lies among the runs."""
        return "/".join([self.study, *self.names, str(self.seed)])


def cells_of(plan: dict[str, Any], runs: Path) -> list[Cell]:
    """All runs of a plan, the first seed of every one before the second of any."""
    found: dict[str, Cell] = {}
    for chosen in plan.get("cells", [{}]):
        axes = [names_of(chosen.get(axis), plan[axis], axis) for axis in AXES]
        for names in itertools.product(*axes):
            settings, seeds = dict(plan.get("common", {})), chosen.get("seeds", plan["seeds"])
            for axis, name in zip(AXES, names):
                settings |= plan[axis][name] or {}
            for seed in range(settings.pop("seeds", seeds)):
                key = "/".join([plan["name"], *names, str(seed)])
                config = make_config(
                    settings | {"seed": seed, "out": runs / key}, source=f"{plan['name']}: {key}"
                )
                found[key] = Cell(study=plan["name"], names=names, seed=seed, config=config)
    return sorted(found.values(), key=lambda cell: cell.seed)


def names_of(wanted: Any, known: dict[str, Any], axis: str) -> list[str]:
    """The names that a cell of the plan says; ``ValueError`` for one that the plan lacks."""
    names = list(known) if wanted is None else [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name not in known:
            raise ValueError(f"plan: {axis} has no {name!r}; there are {', '.join(known)}")
    return names


def row_of(cell: Cell, result: RunResult, made_at: dict[str, Any]) -> dict[str, Any]:
    """What a finished run came to: a line of ``results/study.jsonl``."""
    stations = {station.name: station for station in result.stations}
    per_class = result.scores.get("AP50_per_class", [])
    row: dict[str, Any] = {"key": cell.key, "study": cell.study}
    row |= dict(zip(("data", "detector", "anchors", "start"), cell.names)) | {"seed": cell.seed}
    row["scores"] = {k: v for k, v in result.scores.items() if isinstance(v, (int, float))}
    row["AP50 by class"] = dict(zip(result.classes, per_class))
    row["fit"] = {name: station.mean_best_iou for name, station in stations.items()}
    row["shapes"] = {name: station.shapes for name, station in stations.items()}
    settings = cell.config.model_dump(mode="json", exclude={"out", "proposals"})
    defaults = TrainConfig().model_dump(mode="json")
    row["settings"] = {k: v for k, v in settings.items() if v != defaults[k]}
    row |= {"steps": result.steps, "seconds": round(result.seconds)}
    if cell.config.eval_every:
        lines = (cell.config.out / SCORES).read_text().splitlines()
        row["curve"] = [[line["epoch"], line["AP50"]] for line in map(json.loads, lines)]
    return row | made_at


def finished(plan: dict[str, Any], runs: Path) -> Iterator[dict[str, Any]]:
    """The rows of the runs that are finished."""
    for cell in cells_of(plan, runs):
        note = cell.config.out / "row.json"
        if note.exists():
            yield json.loads(note.read_text())


def kept_in(path: Path) -> dict[str, dict[str, Any]]:
    """The rows of the file, by key."""
    if not path.exists():
        return {}
    return {row["key"]: row for row in map(json.loads, path.read_text().splitlines())}


def keep(rows: list[dict[str, Any]], path: Path = ROWS) -> None:
    """Puts rows into the file: those of the same key are replaced, all others stay."""
    kept = kept_in(path) | {row["key"]: row for row in rows}
    text = "".join(json.dumps(kept[key]) + "\n" for key in sorted(kept))
    write_text(path, text)


def work(cell: Cell) -> bool:
    """Trains a run that is not finished; False where another process is at it."""
    note, began = cell.config.out / "row.json", cell.config.out / "made.json"
    print(f"{time.strftime('%H:%M:%S')} {cell.key}", file=sys.stderr, flush=True)
    made_at = {"commit": commit(), **hardware(), "versions": versions()}
    try:
        result = train(cell.config, resume=True)
    except ValueError as problem:
        if "another run is at work" not in str(problem):
            raise
        return False
    if not began.exists():
        write_text(began, json.dumps(made_at))
    write_text(note, json.dumps(row_of(cell, result, json.loads(began.read_text()))))
    return True


def main() -> None:
    """Trains what is missing, and writes the rows after each run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plan", type=Path)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "study")
    parser.add_argument("--only", default="", help="keys that begin with this, behind the name")
    parser.add_argument("--seeds", type=int, help="so many at most")
    parser.add_argument("--list", action="store_true", help="train nothing")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    plan = yaml.safe_load(options.plan.read_text())
    cells = [
        cell
        for cell in cells_of(plan, options.runs)
        if cell.key.startswith(f"{plan['name']}/{options.only}")
        and (options.seeds is None or cell.seed < options.seeds)
    ]
    known = kept_in(ROWS) | {row["key"]: row for row in finished(plan, options.runs)}
    waiting = [cell for cell in cells if cell.key not in known]
    print(f"{len(cells)} runs, {len(cells) - len(waiting)} finished", file=sys.stderr)
    for cell in [] if options.list else waiting:
        if not (cell.config.out / "row.json").exists() and work(cell):
            keep(list(finished(plan, options.runs)))
    known = kept_in(ROWS) | {row["key"]: row for row in finished(plan, options.runs)}
    shown = ("data", "detector", "anchors", "start", "seed")
    rows = [
        {k: row[k] for k in shown} | {k: row["scores"].get(k) for k in ("AP50", "AP")}
        for row in (known[cell.key] for cell in cells if cell.key in known)
    ]
    print(table(rows) if rows else "no run is finished")


if __name__ == "__main__":
    main()
