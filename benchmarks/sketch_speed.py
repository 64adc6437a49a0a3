"""How fast box statistics are counted: boxes per second of one pass, of a merge, and the memory.

    python benchmarks/sketch_speed.py [--boxes 50_000_000] [--chunk 1_000_000]

Synthetic boxes (log-normal sizes, 80 classes), made chunk by chunk outside the clock. Prints a
table and writes ``results/sketch.json``. "A billion" is an extrapolation of the pace and says so.
"""

import argparse
import resource
import sys
import time
from typing import Any

import numpy as np
from _record import record, table

from kedge.design import fit
from kedge.design.sketch import Sketch

CLASSES = 80
PARTS = 50


def chunk(random: np.random.Generator, boxes: int) -> tuple[np.ndarray, np.ndarray]:
    """Sizes (n, 2) float32 and labels (n,): as wide a spread as COCO's."""
    side = random.lognormal(3.8, 1.1, (boxes, 1)) * random.lognormal(0, 0.4, (boxes, 2))
    return side.clip(1, 640).astype(np.float32), random.integers(0, CLASSES, boxes)


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def one_pass(boxes: int, size: int, seed: int, by_class: bool) -> tuple[dict[str, Any], Sketch]:
    """Count every chunk and merge it into what there is."""
    random = np.random.default_rng(seed)
    sketch, seconds, early, done = Sketch.empty(), 0.0, 0.0, 0
    while done < boxes:
        wh, label = chunk(random, min(size, boxes - done))
        start = time.perf_counter()
        sketch += Sketch.of(wh, label if by_class else None)
        seconds += time.perf_counter() - start
        done += len(wh)
        if done <= max(boxes // 10, 2 * size):
            early = peak_mb()
    assert sketch.count == boxes
    row = {
        "what": "one pass, by class" if by_class else "one pass",
        "boxes": boxes,
        "seconds": round(seconds, 2),
        "million boxes a second": round(boxes / seconds / 1e6, 2),
        "a billion, extrapolated (s)": round(1e9 * seconds / boxes),
        "bins": len(sketch),
        "sketch MB": round((sketch.keys.nbytes + sketch.sums.nbytes) / 1e6, 1),
        "peak MB after a tenth": round(early),
        "peak MB at the end": round(peak_mb()),
    }
    return row, sketch


def merges(sketch: Sketch, boxes: int) -> dict[str, Any]:
    """Join ``PARTS`` sketches of that size, as from as many machines."""
    start = time.perf_counter()
    total = Sketch.empty()
    for _ in range(PARTS):
        total += sketch
    seconds = time.perf_counter() - start
    return {
        "what": f"merge of {PARTS} such sketches",
        "boxes": PARTS * boxes,
        "seconds": round(seconds, 2),
        "bins": len(total),
        "peak MB at the end": round(peak_mb()),
    }


def design(sketch: Sketch, boxes: int, seed: int) -> dict[str, Any]:
    """Nine shapes from the statistics alone."""
    found = fit(sketch, 9, seed=seed)
    return {
        "what": "nine shapes from the sketch",
        "boxes": boxes,
        "seconds": round(found.seconds, 2),
        "bins": len(sketch),
        "peak MB at the end": round(peak_mb()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boxes", type=lambda text: int(text.replace("_", "")), default=50_000_000)
    parser.add_argument("--chunk", type=lambda text: int(text.replace("_", "")), default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-record", action="store_true", help="print only")
    given = parser.parse_args()
    rows = []
    for by_class in (False, True):
        row, sketch = one_pass(given.boxes, given.chunk, given.seed, by_class)
        rows.append(row)
        rows.append(merges(sketch, given.boxes))
        if not by_class:
            rows.append(design(sketch, given.boxes, given.seed))
    print(table(rows))
    if not given.no_record:
        command = f"python benchmarks/sketch_speed.py --boxes {given.boxes} --chunk {given.chunk}"
        record("sketch", command, rows, given.seed, chunk=given.chunk)


if __name__ == "__main__":
    main()
