"""Kedge inside other frameworks: assignment and training step, with it and without.

    python benchmarks/dropin.py                      # assignment, torchvision (and Ultralytics)
    python benchmarks/dropin.py --step               # whole steps of training instead
    python benchmarks/dropin.py --crossover          # few objects, where the peer's table is faster
    python benchmarks/dropin.py --crowd 75357        # one batch of so many objects through YOLO11n

Writes ``results/dropin.json``, ``dropin_step.json`` and so on. Peers in turns in one process, one
thread; ``ms`` is the median processor time, ``MB`` how far memory rises (Linux). As in use, small
batches are left to the peer's own table; with ``--crossover`` they never are, so that ratios below
1 show. Rows that would need more than ``--gb`` for the peer's table leave the peer out.
Ultralytics, MMDetection and Detectron2 are measured in the environment of ``make parity``.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from _record import ROOT, record, table, with_earlier, with_earlier_command
from torch import nn

sys.path.insert(0, str(ROOT))

from assign_speed import measured
from dropin_peers import Call, detectron2_calls, mmdetection_calls, torchvision_calls, yolo_calls
from peers import available, detectron2
from peers_mmdetection import mmdetection

from kedge.interop.torchvision import accelerate
from kedge.interop.torchvision.accelerate import SEAMS
from kedge.interop.ultralytics import accelerate as accelerate_yolo
from kedge.interop.ultralytics.assigner import SparseAssigner

OBJECTS, BATCHES = (1, 8, 50, 300, 1000, 5000), (1, 8, 16)
FEW, SOME = (1, 2, 4, 8, 16, 20), (1, 8, 64)


def sparse_always() -> None:
    """No batch is small enough for the peers' own tables."""
    SparseAssigner.table = -1
    for seam in SEAMS:
        seam.table = -1
    if available("MMDetection"):
        mmdetection()
        from kedge.interop.mmdetection import matching

        matching.TABLE = -1
    if available("Detectron2"):
        detectron2()
        from kedge.interop.detectron2 import matching

        matching.TABLE = -1


def accelerate_mmdetection(model: nn.Module):
    """Its parts are imported where it is used: MMDetection may not be there."""
    mmdetection()
    from kedge.interop.mmdetection import accelerate

    return accelerate(model)


def accelerate_detectron2(model: nn.Module):
    """Its parts are imported where it is used: Detectron2 may not be there."""
    detectron2()
    from kedge.interop.detectron2 import accelerate

    return accelerate(model)


def both(
    model: nn.Module, call: Call, put: Callable[[Any], Any], peer: bool, repeats: int, warm: bool
):
    """ms and MB of the peer alone, where it is to run, and with Kedge; each is called once before
    unless it is ``warm``."""
    row: dict[str, Any] = {}
    for who, inside in (("peer", nullcontext), ("kedge", partial(put, model))):
        if who == "peer" and not peer:
            continue
        with inside():
            if not warm:
                call()
            _, row[f"{who} ms"], row[f"{who} MB"] = measured(call, repeats)
    if peer:
        row["times"] = row["peer ms"] / row["kedge ms"]
    return row


def rows_of(options: argparse.Namespace) -> Iterator[dict]:
    """Every row of the plan."""
    plan = [("RetinaNet", torchvision_calls, accelerate, 9)]
    plan += [("FCOS", torchvision_calls, accelerate, 1)]
    if available("Ultralytics"):
        plan += [(name, yolo_calls, accelerate_yolo, 1) for name in ("yolo11n", "yolo26n")]
    if available("MMDetection"):
        plan += [("RetinaNet (MMDetection)", mmdetection_calls, accelerate_mmdetection, 9)]
    if available("Detectron2"):
        plan += [("RetinaNet (Detectron2)", detectron2_calls, accelerate_detectron2, 9)]
    counts, batches = (FEW, SOME) if options.crossover else (OBJECTS, BATCHES)
    counts, batches = options.counts or counts, options.batches or batches
    warm = False
    for name, make, put, shapes in plan:
        if options.only and name not in options.only.split(","):
            continue
        for side in options.side:
            for batch in (b for b in batches if b <= options.batch):
                for count in (n for n in counts if n <= options.objects):
                    anchors = shapes * side * side * 4 / 3 / 64
                    gigabytes = anchors * count * batch * 4 * 8 / 2**30
                    torch.manual_seed(options.seed)
                    model, call = make(name, count, batch, side, options.step, options.seed)
                    row = {"peer": name, "what": "step" if options.step else "loss", "side": side}
                    row |= {"batch": batch, "objects": count}
                    peer = gigabytes <= options.gb
                    yield row | both(model, call, put, peer, options.repeats, warm)
                    warm = options.step and batch > 1  # the next step takes as long as this one


def crowd(options: argparse.Namespace) -> Iterator[dict]:
    """One batch of 16 images at 640 px with so many objects through YOLO11n's own loss, once."""
    count = options.crowd // 16
    model, call = yolo_calls("yolo11n", count, 16, 640, False, options.seed)
    row = {"peer": "yolo11n", "what": "loss", "side": 640, "batch": 16, "objects": count}
    yield row | both(model, call, accelerate_yolo, False, 1, False)


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", action="store_true")
    parser.add_argument("--crossover", action="store_true")
    parser.add_argument("--crowd", type=int, default=0)
    parser.add_argument("--only", default="", help="peers, separated by commas")
    parser.add_argument("--side", type=int, nargs="+", default=[640])
    parser.add_argument("--batch", type=int, default=64, help="at most so many images")
    parser.add_argument("--counts", type=int, nargs="+", help="these numbers of objects instead")
    parser.add_argument("--batches", type=int, nargs="+", help="these numbers of images instead")
    parser.add_argument("--objects", type=int, default=5000, help="at most so many in an image")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--gb", type=float, default=8, help="of the peer's tables, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--add", action="store_true", help="to the rows that are there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.crossover:
        sparse_always()
    modes = {"crossover": options.crossover, "step": options.step, "crowd": options.crowd}
    name = "_".join(["dropin", *(mode for mode, on in modes.items() if on)])
    command = " ".join(["python benchmarks/dropin.py", *sys.argv[1:]])
    if options.add:
        command = with_earlier_command(name, command)
    rows: list[dict] = []
    for row in crowd(options) if options.crowd else rows_of(options):
        rows.append(row)
        print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
        if not options.no_record:  # after each: a run that is stopped loses none
            every = rows
            if options.add:
                every = with_earlier(name, rows, "peer", "side", "batch", "objects")
            record(name, command, every, options.seed, threads=1)
    print(table(rows))


if __name__ == "__main__":
    main()
