"""The batch that made headlines: task-aligned assignment of 75,357 objects in 128 images.

Ultralytics PR 25990 reports 195 s and 85.6 GB for such a batch (128 images of 640 px, 8,400
points, at most 4,967 objects in one image), and 0.376 s and 1.56 GB on a large GPU after their
fix. Object sizes were not published: here sides are log-normal around 18 px, as in crowds and
aerial images.

Compared: `kedge.assign.TAL`, and the rule as it is commonly written, dense over (images x objects
x anchors) with objects padded to the fullest image, restated here from the paper. The dense form
is run on the images with the fewest objects that fit ``--dense-gb``; its memory for the whole
batch is extrapolated from its own tables.

    python benchmarks/tal_headline.py

With ``--ultralytics``, and that package installed (AGPL-3.0; not a dependency of Kedge), its own
assigner runs on the same images.
"""

import argparse
import ctypes
import gc
import os
import resource
import sys
import threading
import time
from pathlib import Path

import torch
from _record import record, table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kedge import Grid, Level, Predictions, Targets
from kedge.assign.tal import TAL
from kedge.boxes import ciou, iou

IMAGES, OBJECTS, MOST, CLASSES, SIDE = 128, 75_357, 4_967, 80, 640


def objects_per_image(rng: torch.Generator) -> list[int]:
    """128 counts that sum to 75,357, the largest 4,967: a long tail, as in crowd data."""
    share = torch.rand(IMAGES - 1, generator=rng).pow(3) + 0.02
    rest = OBJECTS - MOST
    count = (share / share.sum() * rest).long().clamp(max=MOST - 1)
    count[: rest - int(count.sum())] += 1
    return [MOST, *count.tolist()]


def batch(seed: int, device: str) -> tuple[Grid, Targets, Predictions]:
    """Grid, objects, and predictions near the points' own size or near an object."""
    rng = torch.Generator().manual_seed(seed)
    grid = Grid((SIDE, SIDE), [Level(stride=s) for s in (8, 16, 32)])
    count = torch.tensor(objects_per_image(rng))
    total = int(count.sum())
    size = (18 * torch.exp(0.6 * torch.randn(total, 2, generator=rng))).clamp(2, 400)
    corner = torch.rand(total, 2, generator=rng) * (SIDE - size)
    targets = Targets(
        boxes=torch.cat([corner, corner + size], 1),
        labels=torch.randint(CLASSES, (total,), generator=rng),
        image=torch.arange(IMAGES).repeat_interleave(count),
        batch_size=IMAGES,
    )
    half = 10 * torch.exp(0.5 * torch.randn(IMAGES, len(grid), 2, generator=rng))
    centre = grid.points() + 3 * torch.randn(IMAGES, len(grid), 2, generator=rng)
    logits = torch.randn(IMAGES, len(grid), CLASSES, generator=rng) - 3
    boxes = torch.cat([centre - half, centre + half], -1)
    grid, targets = grid.to(device), targets.to(device)
    return grid, targets, Predictions.from_tensors(logits.to(device), boxes.to(device))


def dense_tal(
    rule: TAL,
    points: torch.Tensor,
    scores: torch.Tensor,
    predicted: torch.Tensor,
    labels: torch.Tensor,
    boxes: torch.Tensor,
    real: torch.Tensor,
) -> torch.Tensor:
    """(B, N) row of the padded objects or -1. scores (B, N, C), boxes (B, M, 4), real (B, M)."""
    centre, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    half = torch.where(size < rule.min_side, rule.min_side, size) / 2
    low, high = (centre - half)[:, :, None], (centre + half)[:, :, None]
    mask = ((points > low) & (points < high)).all(-1) & real[..., None]
    counted = mask if rule.among == "inside" else real[..., None].expand_as(mask)
    measure_of = ciou if rule.overlap == "ciou" else iou
    overlap, score = (torch.zeros(mask.shape, device=mask.device) for _ in range(2))
    for b in range(len(mask)):
        m, n = counted[b].nonzero(as_tuple=True)
        overlap[b, m, n] = measure_of(predicted[b, n], boxes[b, m]).clamp(min=0)
        score[b, m, n] = scores[b, n, labels[b, m]]
    metric = score**rule.alpha * overlap**rule.beta
    top = metric.topk(rule.k, dim=-1).indices
    positive = torch.zeros_like(mask).scatter_(-1, top, True) & (metric > 0) & mask
    rivals = overlap * mask if rule.contest == "candidates" else torch.where(positive, overlap, -1)
    winner = torch.zeros_like(mask).scatter_(1, rivals.argmax(1, keepdim=True), True)
    positive = torch.where(positive.sum(1, keepdim=True) > 1, winner, positive)
    return torch.where(positive.any(1), positive.to(torch.int8).argmax(1), -1)


def padded(targets: Targets, images: torch.Tensor):
    """Objects of ``images`` padded to the fullest: boxes (B, M, 4), labels (B, M), real (B, M)."""
    count, first = targets.count[images], targets.first[images]
    place = torch.arange(int(count.max()), device=images.device)
    real = place < count[:, None]
    rows = torch.where(real, first[:, None] + place, 0)
    return targets.boxes[rows] * real[..., None], targets.labels[rows], real


class Peak:
    """Peak memory above the start: of the device's allocator, else of the process, sampled."""

    def __enter__(self) -> "Peak":
        self.cuda = torch.cuda.is_available()
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self.start = torch.cuda.memory_allocated()
        else:
            self.start, self.top, self.stop = resident(), resident(), threading.Event()
            self.thread = threading.Thread(target=self._watch)
            self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.stop.wait(0.002):
            self.top = max(self.top, resident())

    def __exit__(self, *_: object) -> None:
        if self.cuda:
            torch.cuda.synchronize()
            self.gb = (torch.cuda.max_memory_allocated() - self.start) / 1e9
        else:
            self.stop.set()
            self.thread.join()
            self.gb = (max(self.top, resident()) - self.start) / 1e9


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def measure(call, repeats: int = 15) -> tuple[object, float, float, float]:
    """Result, best wall and CPU seconds of ``repeats``, and peak memory in GB of the first call."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # so that freed memory does not hide a peak
    with Peak() as peak:
        result = call()
    best, cpu = float("inf"), float("inf")
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        result = call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
        cpu = min(cpu, time.process_time() - used)
    return result, best, cpu, peak.gb


def subset(targets: Targets, predictions: Predictions, gb: float, points: int) -> torch.Tensor:
    """The images with the fewest objects whose dense tables (about 30 bytes a cell) fit ``gb``."""
    order = targets.count.argsort()
    cells = torch.arange(1, IMAGES + 1, device=order.device) * targets.count[order] * points
    return order[: max(1, int((cells * 30 < gb * 1e9).sum()))].sort().values


def compare(rule: TAL, name: str, args: argparse.Namespace) -> list[dict]:
    """Rows of the table for one variant of the rule."""
    grid, targets, predictions = batch(args.seed, args.device)
    done = measure(lambda: rule(grid, targets, predictions))
    rows = [row(name, "kedge, sparse", IMAGES, OBJECTS, done, len(done[0]))]

    images = subset(targets, predictions, args.dense_gb, len(grid))
    boxes, labels, real = padded(targets, images)
    scores, predicted = predictions.logits[images].sigmoid(), predictions.codes[images]
    count = int(real.sum())
    few = Targets(
        boxes=boxes[real], labels=labels[real], image=real.nonzero()[:, 0], batch_size=len(images)
    )
    part = Predictions.from_tensors(predictions.logits[images], predicted)
    done = measure(lambda: rule(grid, few, part))
    ours = done[0].dense()
    rows.append(row(name, "kedge, sparse", len(images), count, done, len(done[0])))
    done = measure(
        lambda: dense_tal(rule, grid.points(), scores, predicted, labels, boxes, real), repeats=1
    )
    rows.append(row(name, "dense", len(images), count, done, int((done[0] >= 0).sum())))
    rows[-1]["same"] = same(ours, done[0])
    if args.ultralytics and rule == TAL.ultralytics():
        from ultralytics.utils.tal import TaskAlignedAssigner

        peer = TaskAlignedAssigner(topk=10, num_classes=CLASSES, alpha=0.5, beta=6.0)
        inputs = (scores, predicted, grid.points(), labels[..., None], boxes, real[..., None])
        done = measure(lambda: peer(*inputs), repeats=1)
        found = torch.where(done[0][3], done[0][4], -1)
        rows.append(row(name, "ultralytics", len(images), count, done, int((found >= 0).sum())))
        rows[-1]["same"] = same(ours, found)
    return rows


def same(a: torch.Tensor, b: torch.Tensor) -> float:
    """Share of equal entries among the anchors that either calls positive."""
    either = (a >= 0) | (b >= 0)
    return float((a == b)[either].double().mean())


def row(rule: str, form: str, images: int, objects: int, done: tuple, positives: int) -> dict:
    """One line of the table."""
    _, seconds, cpu, gb = done
    return {
        "rule": rule,
        "form": form,
        "images": images,
        "objects": objects,
        "seconds": round(seconds, 5),
        "cpu_seconds": round(cpu, 5),
        "peak_gb": round(gb, 4),
        "positives": positives,
    }


def main() -> None:
    """Prints the table and writes results/tal_headline.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dense-gb", type=float, default=3.0, help="memory for the dense form")
    parser.add_argument("--ultralytics", action="store_true", help="compare with that package")
    args = parser.parse_args()
    rows = compare(TAL.ultralytics(), "Ultralytics 8.4", args)
    rows += compare(TAL(), "TOOD, as published", args)
    print(table(rows))
    name = "tal_headline" if args.device == "cpu" else "tal_headline_gpu"
    command = "python " + " ".join(["benchmarks/tal_headline.py", *sys.argv[1:]])
    busy = round(os.getloadavg()[0], 1)  # other work on the machine makes wall times longer
    print(record(name, command, rows, args.seed, load_average=busy))


if __name__ == "__main__":
    main()
