"""What few objects would cost on a GPU: an estimate from launches and waits, none measured there.

    python benchmarks/gpu_estimate.py

Every rule, and its dense form image by image, at 640 x 640 px: kernels launched and waits of the
host are counted by a dispatch mode (``tests/assign/launches.py``), a launch taken at 5 us and a
wait at 25 us. The kernels' own time is left out: with so few objects it is small for both. Kedge
answers by its tables, as it does on a GPU. Writes ``results/gpu_estimate.json``.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any

import torch
from _record import ROOT, record, table
from assign_cases import CASES
from assign_speed import Batch

from kedge.anchors.queries.table import tables

sys.path.insert(0, str(ROOT / "tests"))
from assign.launches import OF_A_PROCESSOR, Launches

LAUNCH, WAIT = 5.0, 25.0  # us
BATCHES = ((1, 8), (8, 8), (8, 50))


def counted(call: Callable[[], object]) -> tuple[int, int]:
    """Launches and waits of a call, the second one: tables of a grid are kept."""
    call()
    with Launches() as seen:
        call()
    return seen.launches, seen.waits


def row(name: str, batch: int, objects: int, seed: int) -> dict[str, Any]:
    """One rule on one batch."""
    case, data = CASES[name], Batch(name, "640x640", objects, batch, "scene", seed)
    strategy, targets, scenes = case.strategy(), data.targets(), data.scenes()
    with tables(always=True):
        ours = counted(lambda: strategy(data.grid, targets, data.given))
    other = counted(lambda: [case.dense(scene) for scene in scenes])
    cost, dense = (LAUNCH * launches + WAIT * waits for launches, waits in (ours, other))
    return {
        "rule": name, "batch": batch, "objects": objects,
        "launches": ours[0], "waits": ours[1], "dense launches": other[0], "dense waits": other[1],
        "us": cost, "dense us": dense, "times": dense / cost,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for module, limit in OF_A_PROCESSOR:
        setattr(module, limit, sys.maxsize)
    rows = [row(name, *batch, options.seed) for name in CASES for batch in BATCHES]
    print(table(rows))
    facts = {"launch us": LAUNCH, "wait us": WAIT}
    command = "python benchmarks/gpu_estimate.py"
    print(record("gpu_estimate", command, rows, options.seed, estimate=facts))


if __name__ == "__main__":
    main()
