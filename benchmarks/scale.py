"""Past one machine: boxes counted from Parquet shards, and assignments computed against kept.

    python benchmarks/scale.py                            # 20 million boxes, here and on Ray
    python benchmarks/scale.py --boxes 1_000_000_000      # written in parts (14 GB), deleted after
    python benchmarks/scale.py --cached                   # a batch assigned, and from the cache
    python benchmarks/scale.py --by-class                 # boxes of 80 classes, each by itself
    python benchmarks/scale.py --ddp                      # steps of one process and of two

Writes ``results/scale.json``, or there ``scale_cached``, ``scale_by_class`` and ``scale_ddp``.
Shards hold log-normal sizes in images of 640 x 480. Seconds are wall time, reading included; of Ray
without starting the cluster. Processor seconds are those of the processes that count, which is what
remains comparable on a machine that does other things too. ``POLARS_MAX_THREADS=1`` before the
command gives every process one thread.
"""

import argparse
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from _record import record, table
from dropin_peers import objects

from kedge import ATSS, MaxIoU, RetinaNet, Targets
from kedge.batches import Cached
from kedge.counted import count as number_of
from kedge.design.network import letterbox
from kedge.design.sketch import Sketch
from kedge.design.statistics import Counted, Shard, count_shard, count_shards
from kedge.shards import Counter, in_turn
from kedge.shards.on_ray import AT_ONCE, OnRay
from kedge.train.result import load_result

PART = 5_000_000  # boxes of a shard
DDP = (
    "train --data toy --detector retinanet --options width=16,depth=1 --image-size 256 320 "
    "--batch-size 16 --epochs 1 --cache --quiet"
)


def written(folder: Path, boxes: int, seed: int) -> list[str]:
    """Shards of so many boxes."""
    rng, shards = np.random.default_rng(seed), []
    for number, start in enumerate(range(0, boxes, PART)):
        count = min(PART, boxes - start)
        side = rng.lognormal(3.8, 1.1, (count, 1)) * rng.lognormal(0, 0.4, (count, 2))
        side = side.clip(1, 480).astype(np.float32)
        columns = {"w": side[:, 0], "h": side[:, 1]}
        columns |= {"width": np.full(count, 640, np.int16), "height": np.full(count, 480, np.int16)}
        columns["category_id"] = rng.integers(0, 80, count, dtype=np.int16)
        shards.append(str(folder / f"{number:04d}.parquet"))
        pl.DataFrame(columns).write_parquet(shards[-1], compression="uncompressed")
    return shards


def clocked(shard: str, by_class: bool) -> Shard:
    """A shard, and the processor seconds that it took."""
    start = time.process_time()
    found = count_shard(shard, letterbox(640), by_class=by_class)
    return found._replace(said=(str(time.process_time() - start),))


def counted(
    shards: list[str], boxes: int, who: str, counter: Counter, by_class: bool
) -> tuple[dict, Counted]:
    """All shards counted once."""
    start = time.perf_counter()
    by = "class" if by_class else None
    found = count_shards(shards, partial(clocked, by_class=by_class), counter, by=by)
    seconds = time.perf_counter() - start
    used = sum(float(said) for [said] in found.said.values())
    assert not found.failed, found.failed
    assert found.sketch.count == boxes
    row = {"counted by": who, "boxes": boxes, "shards": len(shards), "seconds": seconds}
    row |= {"processor seconds": used, "million a second": boxes / seconds / 1e6}
    row["bins"] = sum(len(part) for part in parts_of(found))
    return row | {"peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}, found


def parts_of(found: Counted) -> list[Sketch]:
    """Of each class, or the whole."""
    return list(found.parts.values()) or [found.sketch]


def bits(found: Counted) -> list[tuple[bytes, bytes]]:
    return [(sketch.keys.tobytes(), sketch.sums.tobytes()) for sketch in parts_of(found)]


def merging(shards: list[str], by_class: bool) -> float:
    """Processor seconds that adding one counted shard to what was counted before takes."""
    ready = {shard: clocked(shard, by_class) for shard in shards[:4]}
    start = time.process_time()
    for repeat in range(5):
        named = {f"{repeat} {shard}": found for shard, found in ready.items()}
        by = "class" if by_class else None
        count_shards(list(named), named.__getitem__, in_turn, by=by)
    return (time.process_time() - start) / (5 * len(ready))


def shards_rows(options: argparse.Namespace) -> list[dict]:
    """Counted here and by Ray's workers, to the same bits; and what more workers would take."""
    import ray

    by_class = options.by_class
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        shards = written(Path(folder), options.boxes, options.seed)
        here, found = counted(shards, options.boxes, "this process", in_turn, by_class)
        rows = [here]
        for workers in options.workers:
            ray.init(num_cpus=workers, log_to_driver=False, include_dashboard=False)
            counter = OnRay()
            list(counter(shards[:workers], partial(clocked, by_class=by_class)))  # started
            row, other = counted(
                shards, options.boxes, f"Ray, {number_of(workers, 'worker')}", counter, by_class
            )
            ray.shutdown()
            assert bits(found) == bits(other)
            rows.append(row)
        merge = merging(shards, by_class)
    rows.append({"counted by": "merging one sketch", "seconds": merge})
    for workers in (8, 64):  # on paper: they share counting and merging, but for the last merges
        work = here["processor seconds"] + merge * (len(shards) - 1)
        last = merge * (AT_ONCE - 1) * math.ceil(math.log(len(shards), AT_ONCE))
        seconds = work / workers + last
        row = {"counted by": f"on paper, {workers} workers", "boxes": options.boxes}
        row |= {"shards": len(shards), "seconds": seconds}
        rows.append(row | {"million a second": options.boxes / seconds / 1e6})
    return rows


def median(call: Callable[[], object], repeats: int = 15) -> float:
    """Milliseconds."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1e3 * statistics.median(times)


def cached_rows(options: argparse.Namespace) -> list[dict]:
    """A batch of 8 images at 640 px on RetinaNet's anchors."""
    grid = RetinaNet(num_classes=20, backbone="tiny").grid((640, 640))
    assert grid is not None
    grid, rows = grid.detach(), []
    for rule in (MaxIoU(), ATSS()):
        for count in (8, 50, 300, 1000):
            rng = torch.Generator().manual_seed(options.seed)
            targets = Targets.from_list([objects(count, 640, rng) for _ in range(8)])
            with tempfile.TemporaryDirectory() as folder:
                memory, disk = Cached(rule), Cached(rule, folder, limit=0)
                calls = {"computed": rule, "from memory": memory, "from files": disk}
                row: dict[str, Any] = {"rule": type(rule).__name__, "objects an image": count}
                row |= {
                    f"{name} ms": median(partial(c, grid, targets)) for name, c in calls.items()
                }
                files = [file.stat().st_size for file in Path(folder).rglob("*.safetensors")]
                row["kB an image"] = sum(files) / len(files) / 1e3
                rows.append(row)
    return rows


def ddp_rows(options: argparse.Namespace) -> list[dict]:
    """RetinaNet on toy data, 16 images a step, by one process and by two, a thread each."""
    rows = []
    for devices in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            words = [*DDP.split(), "--devices", str(devices), "--out", f"{folder}/run"]
            env = os.environ | {"OMP_NUM_THREADS": "1"}
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-m", "kedge", *words], check=True, env=env)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            step = load_result(Path(folder) / "run" / "run.json").seconds_per_step
            assert step is not None
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            rows.append(
                {"processes": devices, "ms a step": 1e3 * step, "images a second": 16 / step}
            )
            rows[-1]["processor seconds of the run"] = used
    rows[-1]["efficiency"] = rows[0]["ms a step"] / rows[-1]["ms a step"] / rows[-1]["processes"]
    return rows


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", type=int, default=20_000_000)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--cached", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--by-class", action="store_true")
    parser.add_argument("--ddp", action="store_true")
    parser.add_argument("--folder", type=Path, help="where shards are written, and deleted")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kinds = {"cached": cached_rows, "ddp": ddp_rows, "by_class": shards_rows}
    kind = next((kind for kind in kinds if getattr(options, kind)), None)
    name, measure = ("scale", shards_rows) if kind is None else (f"scale_{kind}", kinds[kind])
    rows = measure(options)
    print(table(rows))
    command = " ".join(["python benchmarks/scale.py", *sys.argv[1:]])
    threads = os.environ.get("POLARS_MAX_THREADS")
    command = command if threads is None else f"POLARS_MAX_THREADS={threads} {command}"
    print(record(name, command, rows, options.seed))


if __name__ == "__main__":
    main()
