"""Learned anchors in every detector that has shapes, from a bad start: all shapes alike.

The same budget and data; the shapes stay as they are, or are learned, after a warm-up that is
annealed, or placed, which on several maps designs them for the objects of the first batches; or
they are chosen from all boxes before the training (``kmeans``) and stay. In ``yolov3 siblings`` the
other shapes that fit an object by .4 answer for it too. Mean and standard deviation over the seeds;
of seed 0 also on which maps the objects of the scored split are answered. Finished runs are kept in
``--runs`` and not trained again; rows of detectors that are not named stay.

    python benchmarks/learned_detectors.py
    python benchmarks/learned_detectors.py --anchors placed kmeans
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from _record import commit, record, table, with_earlier

from kedge import Targets
from kedge.data import DetectionDataset, eval_transforms, read
from kedge.train.config import TrainConfig
from kedge.train.result import RunResult
from kedge.train.run import train
from kedge.train.saved import load_run

WITH_SHAPES = (
    *("yolov2", "ssd", "yolov3", "retinanet", "faster_rcnn", "faster_rcnn_c4", "cascade_rcnn"),
    *("rfcn", "refinedet", "metaanchor", "yolov3 siblings"),
)
VARIANTS = {"yolov3 siblings": {"detector": "yolov3", "assign": "yolov3:siblings=positive"}}
ONE_MAP = ("yolov2", "faster_rcnn_c4", "rfcn")  # where both warm-ups are the same
KINDS = ("fixed", "learned", "placed", "kmeans")


def run(args: argparse.Namespace, detector: str, kind: str, seed: int) -> tuple[RunResult, str]:
    """One run, made now or before, and the commit that it was made at."""
    name = f"{detector.replace(' ', '-')}-{kind}-{seed}"
    config = TrainConfig(
        data=args.data, eval_split=args.split, image_size=tuple(args.image_size),
        anchors="kmeans" if kind == "kmeans" else "identical", num_anchors=3,
        learn_anchors=kind in ("learned", "placed"),
        warmup="placed" if kind == "placed" else "annealed", epochs=args.epochs, lr=args.lr,
        precision=args.precision, seed=seed, out=args.runs / name,
        **VARIANTS.get(detector, {"detector": detector}),
    )  # fmt: skip
    print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)
    note, at = config.out / "commit.txt", commit()
    result = train(config, resume=True)
    if not note.exists():
        note.write_text(at)
    return result, note.read_text()


def row(args: argparse.Namespace, detector: str, kind: str) -> dict:
    """A line of the table: one detector and what its shapes are."""
    made = [run(args, detector, kind, seed) for seed in range(args.seeds)]
    results = [result for result, _ in made]
    line: dict = {"detector": detector, "anchors": kind}
    wanted = [name for name in ("AP50", "AP", "AR@50", "AR@100") if name in results[0].scores]
    for name in wanted:
        values = [100 * result.scores[name] for result in results]
        line[name] = statistics.mean(values)
        line[f"{name} std"] = statistics.stdev(values) if len(values) > 1 else None
    for name in ("initial", "final"):
        line[f"fit {name}"] = statistics.mean(r.station(name).mean_best_iou or 0.0 for r in results)
    line["answers on each map"] = ", ".join(map(str, on_maps(args, results[0].out)))
    line["AP50 of each seed"] = ", ".join(f"{100 * r.scores['AP50']:.2f}" for r in results)
    line["commits"] = ", ".join(sorted({at for _, at in made}))
    return line


def on_maps(args: argparse.Namespace, out: Path) -> list[int]:
    """How many anchors of each level answer for the objects of the split that was scored, by the
    shapes that the run ended with, the finest level first."""
    detector, size = load_run(out).detector, (args.image_size[0], args.image_size[1])
    items = DetectionDataset(read(args.data, args.split), eval_transforms(size))
    targets = Targets.from_list([items[i][1] for i in range(len(items))])
    grid, rule = detector.grid(size), detector.rule
    assert grid is not None
    assert rule is not None
    found = rule(grid, detector.first_targets(targets))
    return torch.bincount(grid.level(found.anchor), minlength=grid.num_levels).tolist()


def known(rows: list[dict]) -> list:
    """These and the rows of other detectors, in the order of ``WITH_SHAPES``."""
    every = with_earlier("learned_detectors", rows, "detector", "anchors")

    def order(line: dict) -> tuple[int, int]:
        return WITH_SHAPES.index(line["detector"]), KINDS.index(line["anchors"])

    return sorted(every, key=order)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detectors", nargs="+", default=list(WITH_SHAPES))
    parser.add_argument("--anchors", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--data", default="toy")
    parser.add_argument("--split", default="val")
    parser.add_argument("--image-size", type=int, nargs=2, default=[128, 160])
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--precision", default="auto", choices=["auto", "32", "bf16"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/learned_detectors"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict] = []
    for detector in args.detectors:
        kinds = [k for k in args.anchors if k != "placed" or detector not in ONE_MAP]
        rows += [row(args, detector, kind) for kind in kinds]
        settings = {k: v for k, v in vars(args).items() if k not in ("runs", "anchors")}
        every = known(rows)
        settings["detectors"] = list(dict.fromkeys(line["detector"] for line in every))
        path = record(
            "learned_detectors",
            "python benchmarks/learned_detectors.py",
            every,
            list(range(args.seeds)),
            settings=settings,
        )
    print(table(rows))
    print(path)


if __name__ == "__main__":
    main()
