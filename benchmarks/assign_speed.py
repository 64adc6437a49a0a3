"""Time and memory of every assignment strategy against its dense form and against its peers.

    python benchmarks/assign_speed.py                   # every group but peers and million
    python benchmarks/assign_speed.py --group peers     # where they are installed: `make parity`
    python benchmarks/assign_speed.py --group fixed --strategies ATSS,RFLA --no-record
    python benchmarks/assign_speed.py --group million --before TREE  # a checkout of an older commit

Each group writes ``results/assign_speed_<group>.json``. Every strategy has a process of its own,
with one thread. ``ms`` is the median processor time of several calls (on an idle machine: the time;
on a busy one it does not count the neighbours), ``MB`` how far the process's memory rises above
what it held before the first call (Linux only), ``matrix MB`` what one float32 table of anchors x
objects would take. ``equal`` is the share of anchors on whose label both agree, ``differ`` the
number of the others. What would need more than ``--gb`` or ``--seconds``, going by the next smaller
number of objects, is left out and says so.

Objects cover the image about once, whatever their number (``sizes`` "scene"), or have sides from 8
to 400 px, log-uniform ("any"). Peers are those of `peers.py` that are installed, with their own
settings, against Kedge's strategy with the same.

A million objects are too many for any dense form: they are assigned three times, in a fresh process
each, and with ``--before`` by an earlier commit as often, in turns.
"""

import argparse
import ctypes
import gc
import json
import re
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _record import ROOT, commit, record, table, with_earlier, with_earlier_command
from torch import Tensor

sys.path.insert(0, str(ROOT))

from assign_cases import CASES, objects, predictions
from dense_scene import Scene

from kedge import Grid, Predictions, Targets
from kedge.types import Assigner, Assignment

try:
    from peers import COUNTERPARTS, PEERS
except ImportError:
    COUNTERPARTS, PEERS = {}, {}

IMAGES = {
    "640x640": (640, 640), "800x1333": (800, 1333), "3072x3072": (3072, 3072),
    "20000x20000": (20_000, 20_000),
}  # fmt: skip
COUNTS = (8, 50, 300, 1000, 5000, 50_000)
FEW = (1, 8, 20, 50)
GROUPS = ("max_iou", "fixed", "predictions", "few", "few_wide", "peers", "million")
PEER_CASES = {"Uniform": "Uniform, predictions"}  # whose rule reads predictions
warnings.filterwarnings("ignore", message="index_reduce")
LEFT_OUT = ("RPN",)  # variants with other thresholds


# -- one measurement -------------------------------------------------------------------------------


def memory_mb(name: str) -> float:
    """``VmRSS`` (held now) or ``VmHWM`` (most since the last reset) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise OSError(f"no {name} in /proc/self/status")


def measured(call: Callable[[], object], repeats: int) -> tuple[object, float, float | None]:
    """The result, the median processor time in ms, and the rise of memory of the first call in MB.

    Short calls are repeated for 0.3 s, long ones (3 s in all) not at all.
    """
    before = None
    if sys.platform == "linux":
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        before = memory_mb("VmRSS")
    times, rise, got = [], None, None
    while not times or (sum(times) < 3 and (len(times) < repeats or 0 < sum(times) < 0.3)):
        got = None  # the last result is not kept beside the next one
        start = time.process_time()
        got = call()
        times.append(time.process_time() - start)
        if rise is None and before is not None:
            rise = max(memory_mb("VmHWM") - before, 0.0)
    return got, 1e3 * statistics.median(times), rise


class Batch:
    """Random images: what Kedge takes, and the same image by image."""

    def __init__(self, name: str, image: str, count: int, batch: int, sizes: str, seed: int):
        rng = torch.Generator().manual_seed(seed)
        case, size = CASES[name], IMAGES[image]
        self.grid: Grid = case.grid(size)
        self.boxes = [objects(count, size, sizes, rng) for _ in range(batch)]
        self.labels = [torch.randint(20, (count,), generator=rng) for _ in range(batch)]
        self.given: Predictions | None = None
        if case.predictions:
            self.given = predictions(self.grid, self.boxes, rng)
        self.anchors = self.grid.boxes()

    def targets(self, most: int | None = None) -> Targets:
        """At most ``most`` objects of every image."""
        pairs = zip(self.boxes, self.labels)
        return Targets.from_list([{"boxes": b[:most], "labels": i[:most]} for b, i in pairs])

    def scenes(self, most: int | None = None) -> list[Scene]:
        """One for every image."""
        return [
            Scene(
                grid=self.grid,
                anchors=self.anchors,
                boxes=boxes[:most],
                labels=labels[:most],
                logits=None if self.given is None else self.given.logits[image],
                predicted=None if self.given is None else self.given.codes[image],
            )
            for image, (boxes, labels) in enumerate(zip(self.boxes, self.labels))
        ]

    def kedge(self, strategy: Assigner, repeats: int) -> tuple[Assignment, float, float | None]:
        """Assignment, ms, MB."""
        strategy(self.grid, self.targets(1), self.given)  # loads code and builds tables
        return measured(partial(strategy, self.grid, self.targets(), self.given), repeats)

    def other(self, form: Callable[[Scene], Tensor], repeats: int):
        """Labels (B, N), ms, MB of a dense form or a peer, image by image."""
        scenes = self.scenes()
        form(self.scenes(4)[0])
        return measured(lambda: torch.stack([form(scene) for scene in scenes]), repeats)


def peer_form(rule: Callable, scene: Scene) -> Tensor:
    """A rule of `peers.py` on a scene."""
    return rule(scene.grid, scene.anchors, scene.boxes, scene.labels, scene.logits, scene.predicted)


def too_much(rows: list[dict], count: int, matrix_mb: float, options: dict) -> str | None:
    """Why ``count`` objects are left out, going by the largest number that was measured."""
    done = [row for row in rows if "other ms" in row]
    if not done:
        return f"over {options['gb']:g} GB" if matrix_mb > 1024 * options["gb"] / 8 else None
    scale = count / done[-1]["objects"]
    if done[-1].get("other MB") and done[-1]["other MB"] * scale > 1024 * options["gb"]:
        return f"over {options['gb']:g} GB"
    if done[-1]["other ms"] * scale > 1e3 * options["seconds"]:
        return f"over {options['seconds']:g} s"
    return None


def rows_of(plan: dict, options: dict) -> Iterator[dict]:
    """The rows of one strategy against one other form, from few objects to many."""
    torch.set_num_threads(options["threads"])
    name, against = plan["strategy"], plan["against"]
    key = name if against == "dense" else PEER_CASES.get(name, name)
    case = CASES[key]
    strategy, form = case.strategy(), case.dense
    if against != "dense":
        strategy, form = COUNTERPARTS[name, against], partial(peer_form, PEERS[name, against])
    rows: list[dict] = []
    for count in plan["counts"]:
        row = {k: plan[k] for k in ("strategy", "against", "image", "batch", "sizes")}
        row |= {"objects": count}
        data = Batch(key, plan["image"], count, plan["batch"], plan["sizes"], options["seed"])
        row |= {"anchors": len(data.grid), "matrix": case.matrix}
        row |= {"matrix MB": len(data.grid) * count * 4 / 2**20}
        ours, row["kedge ms"], row["kedge MB"] = data.kedge(strategy, options["repeats"])
        found = ours.dense()
        row["positives"] = int((found >= 0).sum())
        row["left out"] = too_much(rows, count, row["matrix MB"], options)
        if row["left out"] is None:
            labels, row["other ms"], row["other MB"] = data.other(form, options["repeats"])
            row["times"] = row["other ms"] / row["kedge ms"]
            row["differ"] = int((labels != found).sum())
            row["equal"] = 1 - row["differ"] / labels.numel()
        rows.append(row)
        yield row


def million(plan: dict, options: dict) -> Iterator[dict]:
    """A million objects on one image, once."""
    torch.set_num_threads(options["threads"])
    case, count, size = CASES[plan["strategy"]], plan["counts"][0], IMAGES[plan["image"]]
    rng = torch.Generator().manual_seed(options["seed"])
    grid, strategy = case.grid(size), case.strategy()
    targets = Targets.from_list([{"boxes": objects(count, size, plan["sizes"], rng)}])
    small = Targets.from_list([{"boxes": targets.boxes[:10]}])
    strategy(grid, small)
    start = time.perf_counter()
    got, ms, mb = measured(partial(strategy, grid, targets), 1)
    row = {k: plan[k] for k in ("strategy", "image", "sizes")}
    yield row | {
        "objects": count,
        "anchors": len(grid),
        "seconds": ms / 1e3,
        "wall seconds": time.perf_counter() - start,
        "GB": None if mb is None else mb / 1024,
        "matrix GB": len(grid) * count * 4 / 2**30,
        "positives": len(got),
        "ignored": len(got.ignored),
        "objects with an anchor": int(got.target.unique().numel()),
    }


# -- what is run -----------------------------------------------------------------------------------


def plans(group: str) -> list[dict]:
    """What each process of a group measures."""

    def plan(name: str, against: str = "dense", **other) -> dict:
        start = {"image": "800x1333", "batch": 1, "sizes": "scene", "counts": COUNTS}
        return {"strategy": name, "against": against, **start, **other}

    if group == "max_iou":
        return [
            plan("MaxIoU"),
            plan("MaxIoU", sizes="any", counts=(8, 1000)),
            plan("MaxIoU", batch=8, counts=(8, 50, 300, 1000)),
            plan("MaxIoU", image="3072x3072", counts=(8, 50, 300, 1000, 5000, 50_000)),
            plan("MaxIoU", image="3072x3072", batch=8, counts=(8, 50, 300, 1000)),
        ]
    if group == "fixed":
        return [plan(n) for n, c in CASES.items() if not c.predictions and n != "MaxIoU"]
    if group == "predictions":
        return [plan(n) for n, c in CASES.items() if c.predictions]
    if group in ("few", "few_wide"):
        small = {"image": "640x640" if group == "few" else "800x1333", "counts": FEW}
        return [plan(name, batch=batch, **small) for name in CASES for batch in (1, 8, 16)]
    if group == "peers":
        chosen = [key for key in PEERS if not key[1].endswith(LEFT_OUT)]
        chosen = [key for key in chosen if key[1] != "torchvision" or key[0] == "FCOS"]
        many = [plan(*key, counts=(*FEW, 300, 1000, 5000)) for key in chosen]
        return many + [plan(*key, batch=batch, counts=FEW) for key in chosen for batch in (8, 16)]
    names = ("FCOS", "ATSS", "MaxIoU")
    return [plan(n, image="20000x20000", counts=(1_000_000,)) for n in names]


def in_a_process(group: str, plan: dict, options: dict, tree: Path = ROOT) -> Iterator[dict]:
    """The rows of a plan, measured in a fresh interpreter, by the code of a checkout."""
    script = str(tree / "benchmarks" / "assign_speed.py")
    code = [sys.executable, script, "--one", json.dumps([group, plan, options])]
    child = subprocess.Popen(code, stdout=subprocess.PIPE, text=True, cwd=tree)
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("{"):
            yield json.loads(line)
    if child.wait():
        print(f"{plan['strategy']}: ended with {child.returncode}", file=sys.stderr)


def in_turns_with(before: Path, plan: dict, options: dict) -> Iterator[dict]:
    """The row of a million objects, the median of three processes, beside what the code of the
    checkout ``before`` takes, in turns with it."""
    trees = (before, ROOT)
    turns = [
        [next(in_a_process("million", plan, options, tree)) for tree in trees] for _ in range(3)
    ]
    old, new = (sorted(rows, key=lambda row: row["seconds"])[1] for rows in zip(*turns))
    same = all(old[key] == new[key] for key in ("positives", "ignored", "objects with an anchor"))
    yield new | {
        "before": commit(before),
        "before seconds": old["seconds"],
        "before GB": old["GB"],
        "times": old["seconds"] / new["seconds"],
        "same counts": same,
    }


def run(group: str, options: argparse.Namespace) -> list[dict]:
    """The rows of a group, printed as they come."""
    keys = ("threads", "repeats", "seed", "gb", "seconds")
    settings = {key: getattr(options, key) for key in keys}
    rows, chosen = [], re.split(r",(?! )", options.strategies)  # a name may hold ", "
    for plan in plans(group):
        if (options.strategies and plan["strategy"] not in chosen) or plan["batch"] > options.batch:
            continue
        plan["counts"] = [n for n in plan["counts"] if n <= options.objects]
        if group == "million" and options.before:
            found = in_turns_with(options.before, plan, settings)
        else:
            found = in_a_process(group, plan, settings)
        for row in found:
            rows.append(row)
            print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    return rows


KEYS = ("strategy", "against", "image", "batch", "sizes", "objects")


def place(row: Mapping[str, Any]) -> tuple:
    """Where a row stands among those of its group."""
    order, images = [*CASES, row["strategy"]], list(IMAGES)
    where = images.index(row["image"]), row["batch"], row["sizes"] != "scene", row["objects"]
    return order.index(row["strategy"]), row["against"], *where


def at_commit(rows: list[dict]) -> list[dict]:
    """The rows with the commit that they are of: beside those of another."""
    here = commit()
    return [row | {"commit": here} for row in rows]


def main() -> None:
    """Measures, prints and writes ``results/assign_speed_<group>.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--group", choices=GROUPS, action="append", help="default: all but peers and million"
    )
    parser.add_argument("--strategies", default="", help="only these, separated by commas")
    parser.add_argument("--objects", type=int, default=1_000_000, help="at most so many")
    parser.add_argument("--batch", type=int, default=16, help="at most so many images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gb", type=float, default=10, help="memory of a dense form, at most")
    parser.add_argument("--seconds", type=float, default=40, help="time of a dense form, at most")
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--add", action="store_true", help="to the rows that are there")
    parser.add_argument("--before", type=Path, help="a million objects: an older checkout, too")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    groups = options.group or [g for g in GROUPS if g not in ("peers", "million")]
    if "million" in groups and not options.no_record and (options.add or not options.before):
        parser.error("a million objects are recorded beside an older commit, all at once: --before")
    if options.one:
        group, plan, settings = json.loads(options.one)
        for row in (million if group == "million" else rows_of)(plan, settings):
            print(json.dumps(row), flush=True)
        return
    words = ["TREE" if word == str(options.before) else word for word in sys.argv[1:]]
    command = " ".join(["python benchmarks/assign_speed.py", *words])
    for group in groups:
        rows = run(group, options)
        if not rows:
            continue
        print(table(rows))
        name, made = f"assign_speed_{group}", command
        if options.add:
            made = with_earlier_command(name, command)
            rows = sorted(with_earlier(name, at_commit(rows), *KEYS), key=place)
        if not options.no_record:
            record(name, made, rows, options.seed, threads=options.threads)


if __name__ == "__main__":
    main()
