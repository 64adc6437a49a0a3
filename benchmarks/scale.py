"""Past one machine: boxes counted from Parquet shards, and assignments computed against kept.

    python benchmarks/scale.py                            # 20 million boxes, here and on Ray
    python benchmarks/scale.py --boxes 1_000_000_000      # written in parts (9 GB), deleted after
    python benchmarks/scale.py --cached                   # a batch assigned, and from the cache

Writes ``results/scale.json`` and ``results/scale_cached.json``. Shards hold log-normal sizes in
images of 640 x 480. Seconds are wall time, reading included; of Ray without starting the cluster.
"""

import argparse
import resource
import statistics
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
from dropin import objects

from kedge import ATSS, MaxIoU, RetinaNet, Targets
from kedge.batches import Cached
from kedge.design.network import letterbox
from kedge.design.sketch import Sketch
from kedge.design.statistics import count_shard, count_shards
from kedge.shards import Counter, in_turn
from kedge.shards.on_ray import OnRay

PART = 5_000_000  # boxes of a shard


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


def counted(shards: list[str], boxes: int, who: str, counter: Counter) -> tuple[dict, Sketch]:
    """All shards counted once."""
    start = time.perf_counter()
    found = count_shards(shards, partial(count_shard, recipe=letterbox(640)), counter)
    seconds = time.perf_counter() - start
    assert not found.failed, found.failed
    assert found.sketch.count == boxes
    row = {"counted by": who, "boxes": boxes, "shards": len(shards), "seconds": seconds}
    row |= {"million a second": boxes / seconds / 1e6, "bins": len(found.sketch)}
    return row | {"peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}, found.sketch


def merging(shards: list[str]) -> dict[str, Any]:
    """Milliseconds that adding one shard's sketch takes."""
    parts = [count_shard(shard, letterbox(640)) for shard in shards[:4]]
    times, total = [], Sketch.empty()
    for _ in range(25):
        for part in parts:
            start = time.perf_counter()
            total += part
            times.append(time.perf_counter() - start)
    return {"counted by": "merging one sketch", "seconds": statistics.median(times)}


def shards_rows(options: argparse.Namespace) -> list[dict]:
    import ray

    with tempfile.TemporaryDirectory() as folder:
        shards = written(Path(folder), options.boxes, options.seed)
        here, sketch = counted(shards, options.boxes, "this process", in_turn)
        rows = [here]
        for workers in options.workers:
            ray.init(num_cpus=workers, log_to_driver=False, include_dashboard=False)
            counter = OnRay()
            list(counter(shards[:workers], partial(count_shard, recipe=letterbox(640))))  # started
            row, other = counted(shards, options.boxes, f"Ray, {workers} workers", counter)
            ray.shutdown()
            same = sketch.keys.tobytes(), sketch.sums.tobytes()
            assert same == (other.keys.tobytes(), other.sums.tobytes())
            rows.append(row)
        return [*rows, merging(shards)]


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


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", type=int, default=20_000_000)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--cached", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = cached_rows(options) if options.cached else shards_rows(options)
    print(table(rows))
    command = " ".join(["python benchmarks/scale.py", *sys.argv[1:]])
    print(record("scale_cached" if options.cached else "scale", command, rows, options.seed))


if __name__ == "__main__":
    main()
