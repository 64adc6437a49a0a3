"""Time and memory of every assignment strategy against its dense form.

    python benchmarks/assign_speed.py                    # MaxIoU against torchvision
    python benchmarks/assign_speed.py --strategies all   # and every strategy against its dense form

Every measurement runs in a process of its own, with one thread: ``ms`` is the median processor time
of several repeats (on an idle machine: the time; on a busy one it does not count the neighbours),
``MB`` the rise of the process's peak memory above what it held before the call. Dense forms whose
matrix would not fit (``--dense-elements``) are left out. The grids are RetinaNet's for MaxIoU, and
the strategy's own elsewhere; objects cover the image about once, whatever their number
(``--sizes scene``), or are log-uniform from 8 to 400 px (``--sizes any``).
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from _record import ROOT, record, table
from torch import Tensor
from torchvision.models.detection._utils import Matcher, SSDMatcher
from torchvision.ops import box_iou

sys.path.insert(0, str(ROOT))

from kedge import Grid, Level, Predictions, Targets, assign
from kedge.boxes import rfd

STRIDES = (8, 16, 32, 64, 128)
IMAGES = {"800x1333": (800, 1333), "3072x3072": (3072, 3072)}


# -- what is measured ------------------------------------------------------------------------------


def retinanet(size: tuple[int, int]) -> Grid:
    """Nine shapes a cell on five levels, as torchvision places them."""
    octaves = [2 ** (i / 3) for i in range(3)]
    ratios = [0.5, 1.0, 2.0]
    levels = [
        Level(
            stride=s,
            offset=0.0,
            shapes=[(4 * s * o / r**0.5, 4 * s * o * r**0.5) for r in ratios for o in octaves],
        )
        for s in STRIDES
    ]
    return Grid(size, levels)


def points(size: tuple[int, int]) -> Grid:
    """Anchor points on five levels."""
    return Grid(size, [Level(stride=s) for s in STRIDES])


def squares(size: tuple[int, int]) -> Grid:
    """One square of eight strides a cell (ATSS)."""
    return Grid(size, [Level(stride=s, shapes=[(8.0 * s, 8.0 * s)]) for s in STRIDES])


def fields(size: tuple[int, int]) -> Grid:
    """Receptive fields of a ResNet-50 pyramid (RFLA)."""
    half = (45.5, 133.5, 213.5, 277.5, 405.5)
    return Grid(size, [Level(stride=s, shapes=[(f, f)]) for s, f in zip(STRIDES, half)])


def coarse(size: tuple[int, int]) -> Grid:
    """YOLOF's single level."""
    return Grid(size, [Level(stride=32, shapes=[(2.0**i, 2.0**i) for i in range(5, 10)])])


def yolo(size: tuple[int, int]) -> Grid:
    """YOLOv3's nine shapes."""
    shapes = [[(10, 13), (16, 30), (33, 23)], [(30, 61), (62, 45), (59, 119)]]
    shapes.append([(116, 90), (156, 198), (373, 326)])
    return Grid(size, [Level(stride=s, shapes=a) for s, a in zip((8, 16, 32), shapes)])


def objects(count: int, size: tuple[int, int], sizes: str, rng: torch.Generator) -> Tensor:
    """``count`` boxes (count, 4) inside an image."""
    height, width = size
    if sizes == "any":
        side = 8 * 50 ** torch.rand(count, generator=rng)
    else:
        typical = (height * width / count) ** 0.5
        side = (typical * torch.exp(0.5 * torch.randn(count, generator=rng))).clamp(min=4)
    stretch = torch.exp(0.4 * torch.randn(count, generator=rng))
    wh = torch.stack([side * stretch**0.5, side / stretch**0.5], 1)
    wh = torch.minimum(wh, 0.9 * torch.tensor([width, height]))
    corner = torch.rand(count, 2, generator=rng) * (torch.tensor([width, height]) - wh)
    return torch.cat([corner, corner + wh], 1)


def _inside(point: Tensor, boxes: Tensor) -> Tensor:
    low = (point[:, None] > boxes[:, :2]).all(-1)
    return low & (point[:, None] < boxes[:, 2:]).all(-1)


def _smallest(allowed: Tensor, boxes: Tensor) -> Tensor:
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    value, index = torch.where(allowed, area, torch.inf).min(1)
    return torch.where(value < torch.inf, index, -1)


def dense_max_iou(grid: Grid, anchors: Tensor, boxes: Tensor) -> Tensor:
    """torchvision's."""
    return Matcher(0.5, 0.4, allow_low_quality_matches=True)(box_iou(boxes, anchors))


def dense_ssd(grid: Grid, anchors: Tensor, boxes: Tensor) -> Tensor:
    """torchvision's."""
    return SSDMatcher(0.5)(box_iou(boxes, anchors))


def dense_atss(grid: Grid, anchors: Tensor, boxes: Tensor, k: int = 9) -> Tensor:
    """As the released code: all IoU, all distances, top k per level."""
    iou = box_iou(anchors, boxes)
    point = (anchors[:, :2] + anchors[:, 2:]) / 2
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    away = torch.cdist(point, centre, compute_mode="donot_use_mm_for_euclid_dist")
    near, start = [], 0
    for count in grid.anchors_per_level:
        near.append(
            away[start : start + count].topk(min(k, count), dim=0, largest=False)[1] + start
        )
        start += count
    near = torch.cat(near)
    value = iou.gather(0, near)
    keep = value >= value.mean(0) + value.std(0)
    allowed = torch.zeros_like(iou, dtype=torch.bool).scatter_(0, near, keep)
    best, index = torch.where(allowed & _inside(point, boxes), iou, -1).max(1)
    return torch.where(best >= 0, index, -1)


def dense_fcos(grid: Grid, anchors: Tensor, boxes: Tensor, radius: float | None = None) -> Tensor:
    """As torchvision: all points with all objects."""
    point = (anchors[:, :2] + anchors[:, 2:]) / 2
    side = anchors[:, 2] - anchors[:, 0]
    sides = torch.cat([point[:, None] - boxes[:, :2], boxes[:, 2:] - point[:, None]], -1)
    low, high = 4 * side, 8 * side
    low[: grid.anchors_per_level[0]], high[-grid.anchors_per_level[-1] :] = 0, torch.inf
    far = sides.amax(-1)
    allowed = (sides.amin(-1) > 0) & (far >= low[:, None]) & (far <= high[:, None])
    if radius is not None:
        away = (point[:, None] - (boxes[:, :2] + boxes[:, 2:]) / 2).abs().amax(-1)
        allowed &= away < radius * side[:, None]
    return _smallest(allowed, boxes)


def dense_centre_region(grid: Grid, anchors: Tensor, boxes: Tensor) -> Tensor:
    """All points with all middles and rings."""
    point = (anchors[:, :2] + anchors[:, 2:]) / 2
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    middle, ring = (
        _inside(point, torch.cat([centre - s * half, centre + s * half], 1)) for s in (0.2, 0.5)
    )
    labels = _smallest(middle, boxes)
    return torch.where((labels < 0) & ring.any(1), -2, labels)


def dense_rfla(grid: Grid, anchors: Tensor, boxes: Tensor) -> Tensor:
    """Two dense similarity matrices, top 3 and top 1."""
    value = rfd(anchors[:, None], boxes[None])
    labels = torch.where(value.amax(1) >= 0.8, -2, -1)
    index = torch.arange(len(boxes))
    labels[value.topk(3, dim=0)[1]] = index.expand(3, -1)
    centre, half = (anchors[:, :2] + anchors[:, 2:]) / 2, (anchors[:, 2:] - anchors[:, :2]) * 0.45
    value = rfd(torch.cat([centre - half, centre + half], 1)[:, None], boxes[None])
    near = value.argmax(0)
    free = labels[near] < 0
    labels[near[free]] = index[free]
    return labels


def dense_uniform(grid: Grid, anchors: Tensor, boxes: Tensor) -> Tensor:
    """All L1 distances, top 4 of the anchors."""

    def xywh(b: Tensor) -> Tensor:
        return torch.cat([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], 1)

    away = torch.cdist(xywh(anchors), xywh(boxes), p=1)
    near = away.topk(4, dim=0, largest=False)[1]
    labels = torch.full((len(anchors),), -1)
    labels[near] = torch.arange(len(boxes)).expand(4, -1)
    own = box_iou(anchors, boxes).gather(1, labels.clamp(min=0)[:, None])[:, 0]
    return torch.where((labels >= 0) & (own < 0.15), -2, labels)


Dense = Callable[[Grid, Tensor, Tensor], Tensor]
CASES: dict[str, tuple[Callable, Callable, Dense | None]] = {
    "MaxIoU": (assign.MaxIoU, retinanet, dense_max_iou),
    "SSDMatch": (assign.SSDMatch, retinanet, dense_ssd),
    "SSDMatch greedy": (partial(assign.SSDMatch, first="greedy"), retinanet, None),
    "ATSS": (assign.ATSS, squares, dense_atss),
    "FCOS": (assign.FCOS, points, dense_fcos),
    "FCOS centre": (
        partial(assign.FCOS, centre_radius=1.5),
        points,
        partial(dense_fcos, radius=1.5),
    ),
    "CentreRegion": (assign.CentreRegion, points, dense_centre_region),
    "RFLA": (assign.RFLA, fields, dense_rfla),
    "Uniform": (assign.Uniform, coarse, dense_uniform),
    "BestInCell": (assign.BestInCell, yolo, None),
    "YOLOv3": (assign.YOLOv3, yolo, None),
    "YOLOv5": (assign.YOLOv5, yolo, None),
}
PREDICTION_AWARE = [
    "PAA", "FreeAnchor", "MAL", "NoisyAnchors", "LADA", "OTA", "SimOTA", "TAL", "AutoAssign", "DW",
    "DynamicSoftLabel", "Hungarian",
]  # fmt: skip
for name in PREDICTION_AWARE:
    if hasattr(assign, name):
        CASES[name] = (getattr(assign, name), points, None)


# -- one measurement, in a process of its own ------------------------------------------------------


def peak_mb() -> float:
    """Peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(call: Callable[[], object], repeats: int, budget: float = 15.0) -> tuple[object, float]:
    """The result, and the median processor time of up to ``repeats`` calls within ``budget`` s."""
    times, got = [], None
    while len(times) < repeats and sum(times) < budget:
        got = None  # the last result is not kept beside the next one
        before = time.process_time()
        got = call()
        times.append(time.process_time() - before)
    return got, 1e3 * statistics.median(times)


def predictions(grid: Grid, batch: int, rng: torch.Generator) -> Predictions:
    """A head in the middle of training, 20 classes."""
    boxes = grid.boxes() + 8 * torch.rand(batch, len(grid), 4, generator=rng) - 4
    logits = torch.randn(batch, len(grid), 20, generator=rng) - 3
    return Predictions.from_tensors(logits, boxes, torch.randn(batch, len(grid), generator=rng))


def measure(name: str, kind: str, image: str, count: int, batch: int, sizes: str, args) -> dict:
    """One row: milliseconds, megabytes and positives of ``kind`` "kedge" or "dense"."""
    torch.set_num_threads(args["threads"])
    rng = torch.Generator().manual_seed(args["seed"])
    make, make_grid, dense = CASES[name]
    grid = make_grid(IMAGES[image])
    boxes = [objects(count, IMAGES[image], sizes, rng) for _ in range(batch)]
    if kind == "kedge":
        targets, strategy = Targets.from_list([{"boxes": b} for b in boxes]), make()
        given = (predictions(grid, batch, rng),) if name in PREDICTION_AWARE else ()
        small = Targets.from_list([{"boxes": b[:1]} for b in boxes])
        strategy(grid, small, *given)  # loads code and builds tables
        call = partial(strategy, grid, targets, *given)
    else:
        assert dense is not None
        anchors = grid.boxes()
        dense(grid, anchors, boxes[0][:1])
        call = partial(lambda: torch.stack([dense(grid, anchors, b) for b in boxes]))
    before = peak_mb()
    got, ms = timed(call, args["repeats"])
    mb = peak_mb() - before
    found = len(got.anchor.unique()) if kind == "kedge" else int((got >= 0).sum())
    return {
        "ms": ms,
        "MB": mb,
        "positives": found,
        "anchors": len(grid),
    }


def in_a_process(*what, args: dict) -> dict:
    """``measure`` in a fresh interpreter, so that peak memory is its own."""
    code = [sys.executable, str(Path(__file__)), "--one", json.dumps([*what, args])]
    done = subprocess.run(code, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{what}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str, image: str, count: int, batch: int, sizes: str, options) -> dict:
    """Kedge against dense: one line of the table."""
    args = {"threads": options.threads, "seed": options.seed, "repeats": options.repeats}
    ours = in_a_process(name, "kedge", image, count, batch, sizes, args=args)
    line = {
        "strategy": name, "image": image, "batch": batch, "objects": count, "sizes": sizes,
        "anchors": ours["anchors"], "positives": ours["positives"],
        "kedge ms": ours["ms"], "kedge MB": ours["MB"],
    }  # fmt: skip
    # torchvision's box_iou holds about four matrices at once
    if CASES[name][2] is not None and ours["anchors"] * count <= options.dense_elements:
        dense = in_a_process(name, "dense", image, count, batch, sizes, args=args)
        line |= {
            "dense ms": dense["ms"], "dense MB": dense["MB"], "times": dense["ms"] / ours["ms"],
            "same count": dense["positives"] == ours["positives"],
        }  # fmt: skip
    return line


def plan(options) -> list[tuple]:
    """(strategy, image, objects, batch, sizes) of every line."""
    lines = []
    for image in IMAGES:
        for batch in (1, 8):
            for count in (8, 50, 300, 1000):
                lines.append(("MaxIoU", image, count, batch, "scene"))
    lines += [("MaxIoU", "800x1333", count, 1, "any") for count in (8, 1000)]
    if options.strategies == "all":
        others = [name for name in CASES if name != "MaxIoU"]
        lines += [(n, "800x1333", count, 1, "scene") for n in others for count in (8, 300, 1000)]
    elif options.strategies:
        names = options.strategies.split(",")
        lines = [(n, "800x1333", count, 1, "scene") for n in names for count in (8, 300, 1000)]
    return lines


def main() -> None:
    """Measures, prints and writes ``results/assign_speed.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategies", default="", help="all, or names separated by commas")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dense-elements", type=float, default=2.1e8, help="anchors x objects")
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        *what, args = json.loads(options.one)
        print(json.dumps(measure(*what, args)))
        return
    rows = []
    for what in plan(options):
        rows.append(row(*what, options))
        print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(rows))
    if not options.no_record:
        command = "python benchmarks/assign_speed.py " + " ".join(sys.argv[1:])
        record("assign_speed", command.strip(), rows, options.seed, threads=options.threads)


if __name__ == "__main__":
    main()
