"""Would a native kernel be worth its build? Two measurements that decide.

    python benchmarks/native.py

``kernel``: MaxIoU written in C++ (native/max_iou.cpp, compiled here, one thread), called image by
image, beside the strategy; the labels must be equal. ``step``: a training step of a small detector
beside the same step with an assignment that is known already, which no kernel can beat: the most
that any could win there. Median processor time, in turns. Writes ``results/native.json``.
"""

import argparse
import ctypes
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from _record import ROOT, record, table
from torch import Tensor
from turns import in_turns

sys.path.insert(0, str(ROOT))

import assign_cases

from kedge import Grid, Targets
from kedge.assign import MaxIoU
from kedge.detectors import detector_class
from kedge.types import Assigner, Assignment

SOURCE = Path(__file__).parent / "native" / "max_iou.cpp"
FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC")  # no fused rounding
SIZE, STEP_SIZE = (640, 640), (256, 320)
SQUARES = [[(4.0 * s, 4.0 * s), (6.0 * s, 3.0 * s)] for s in (8, 16, 32, 64, 128)]
DETECTORS: dict[str, dict] = {
    "yolov2": {"shapes": [(20, 20), (40, 30), (30, 60), (80, 60), (60, 100)]},
    "retinanet": {"shapes": SQUARES},
    **{name: {} for name in ("fcos", "atss", "yolox", "tood", "rtmdet")},
}


class Row(ctypes.Structure):
    """One shape of one level, as the kernel reads it."""

    _fields_ = [(name, ctypes.c_float) for name in ("sx", "sy", "offset", "width", "height")]
    _fields_ += [(name, ctypes.c_int64) for name in ("columns", "rows", "first", "per")]


class Kernel:
    """The compiled rule, on one grid."""

    def __init__(self, grid: Grid, folder: Path) -> None:
        library = folder / "max_iou.so"
        subprocess.run(["g++", *FLAGS, "-o", str(library), str(SOURCE)], check=True)
        self.call = ctypes.CDLL(str(library)).max_iou
        self.anchors = grid.boxes().contiguous()
        parts = grid.rows
        table = [parts.step, parts.offset, grid.shapes, parts.cells, parts.first, parts.per]
        step, offset, shapes, cells, first, per = (part.tolist() for part in table)
        rows = [
            Row(*step[r], offset[r], *shapes[r], *cells[r], first[r], per[r])
            for r in range(grid.num_shapes)
        ]
        self.rows = (Row * len(rows))(*rows)

    def __call__(self, boxes: list[Tensor]) -> Tensor:
        """(B, N) labels of the images' boxes (G, 4)."""
        labels = torch.empty(len(boxes), len(self.anchors), dtype=torch.int64)

        def at(values: Tensor) -> ctypes.c_void_p:
            return ctypes.c_void_p(values.data_ptr())

        for image, given in zip(labels, boxes):
            counts = [ctypes.c_int64(len(given)), ctypes.c_int64(len(self.anchors))]
            self.call(
                self.rows, ctypes.c_int64(len(self.rows)), at(self.anchors), counts[1],
                at(given), counts[0], at(image),
            )  # fmt: skip
        return labels


@dataclass
class Known:
    """The assignment that a strategy gave first, whatever is asked after: the fastest there is."""

    strategy: Assigner
    found: Assignment | None = None

    def __call__(self, *given: Any) -> Assignment:
        """The first answer."""
        if self.found is None:
            self.found = self.strategy(*given)
        return self.found


def kernel_row(kernel: Kernel, grid: Grid, batch: int, count: int, turns: int, seed: int) -> dict:
    """The strategy beside the kernel."""
    rng, rule = torch.Generator().manual_seed(seed), MaxIoU()
    boxes = [assign_cases.objects(count, SIZE, "scene", rng).contiguous() for _ in range(batch)]
    targets = Targets.from_list([{"boxes": part} for part in boxes])
    differ = int((rule(grid, targets).dense() != kernel(boxes)).sum())
    row = {"what": "kernel", "batch": batch, "objects": count}
    calls = {"kedge": lambda: rule(grid, targets), "native": lambda: kernel(boxes)}
    row |= in_turns(calls, turns)
    return row | {"times": row["kedge ms"] / row["native ms"], "differ": differ}


def step_row(name: str, turns: int, seed: int) -> dict:
    """A training step of eight images of eight objects, and one whose assignment is known."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    images = torch.rand(8, 3, *STEP_SIZE, generator=rng)
    boxes = [assign_cases.objects(8, STEP_SIZE, "scene", rng) for _ in images]
    labels = [torch.randint(3, (8,), generator=rng) for _ in images]
    targets = Targets.from_list([{"boxes": b, "labels": i} for b, i in zip(boxes, labels)])
    model: Any = detector_class(name)(num_classes=3, **DETECTORS[name]).train()
    rule = model.assign
    known = Known(rule)

    def step(assign: Assigner) -> None:
        model.assign = assign
        model.zero_grad()
        total = torch.stack(list(model.losses(images, targets).losses.values())).sum()
        total.backward()

    row = {"what": "step", "detector": name, "strategy": type(rule).__name__}
    row |= in_turns({"step": lambda: step(rule), "known": lambda: step(known)}, turns)
    return row | {"times": row["step ms"] / row["known ms"]}


def main() -> None:
    """Measures, prints and writes ``results/native.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    grid, rows = assign_cases.retinanet(SIZE), []
    with tempfile.TemporaryDirectory() as folder:
        kernel = Kernel(grid, Path(folder))
        plan = [(1, 1), (1, 8), (1, 50), (1, 300), (1, 1000), (1, 5000), (8, 8), (16, 20)]
        for batch, count in plan:
            rows.append(kernel_row(kernel, grid, batch, count, options.turns, options.seed))
    for name in DETECTORS:
        rows.append(step_row(name, options.turns, options.seed))
    for what in ("kernel", "step"):
        print(table([row for row in rows if row["what"] == what]))
    command = " ".join(["python benchmarks/native.py", *sys.argv[1:]])
    print(record("native", command, rows, options.seed, threads=1, flags=list(FLAGS)))


if __name__ == "__main__":
    main()
