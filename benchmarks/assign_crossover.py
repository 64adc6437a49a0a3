"""Up to how many pairs a table of all is faster than the search: what `queries/table.py` goes by.

Each strategy by a table and by the search in turns, in one process with one thread; processor time,
the median of several calls. ``pairs`` is the anchors of an image by the objects of the batch.

    python benchmarks/assign_crossover.py
"""

import argparse
import statistics
import time
from functools import partial

import assign_speed
import torch
from _record import record, table
from assign_cases import CASES

from kedge.anchors.queries.table import tables

assign_speed.IMAGES["320x320"] = (320, 320)
STRATEGIES = (
    "MaxIoU",
    "Ranked",
    "FCOS",
    "RFLA",
    "FreeAnchor",
    "TAL",
    "SimOTA",
    "YOLOv3, predictions",
)
COUNTS = (1, 4, 16, 64)


def median(call, repeats: int) -> float:
    """Processor time in ms."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1e3 * statistics.median(times)


def row(name: str, image: str, count: int, batch: int, repeats: int) -> dict:
    """Both ways on the same batch, in turns."""
    data = assign_speed.Batch(name, image, count, batch, "scene", 0)
    strategy, targets = CASES[name].strategy(), data.targets()
    call = partial(strategy, data.grid, targets, data.given)
    times: dict[bool, list[float]] = {True: [], False: []}
    for way in (True, False) * 3:
        with tables(way):
            call()
            times[way].append(median(call, repeats))
    by_table, by_search = (min(times[way]) for way in (True, False))
    return {
        "strategy": name, "image": image, "anchors": len(data.grid), "objects": count,
        "batch": batch, "pairs": len(data.grid) * count * batch, "table ms": by_table,
        "search ms": by_search, "search / table": by_search / by_table,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", nargs="+", default=["320x320", "640x640", "800x1333"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--most", type=float, default=4e6, help="pairs")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in STRATEGIES:
        for image in args.images:
            for batch in args.batches:
                for count in COUNTS:
                    size = assign_speed.IMAGES[image]
                    if len(CASES[name].grid(size)) * count * batch <= args.most:
                        rows.append(row(name, image, count, batch, args.repeats))
                        print(rows[-1], flush=True)
    rows.sort(key=lambda found: (found["strategy"], found["pairs"]))
    print(table(rows))
    print(record("assign_crossover", "python benchmarks/assign_crossover.py", rows, 0))


if __name__ == "__main__":
    main()
