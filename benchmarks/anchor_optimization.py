"""Anchor Box Optimization: fixed and learned shapes, from four starts, over several seeds.

The same detector, budget and data; only the anchors differ. ``gradient`` is the paper's warm-up,
``annealed`` ours, which forgets the start in its first step: it is trained once for all starts
(``tests/detectors/test_warmup.py`` holds that the outcome is the same). Then the paper's ablation,
from k-means. Prints the table (mean and standard deviation of AP50 and AP), the shapes before,
after the warm-up and at the end, how far the detector's own gradient moves them, and what learning
costs per step. Finished runs are kept in ``--runs`` and not trained again, so the benchmark can be
stopped and gone on with.

    python benchmarks/anchor_optimization.py --data ../shared/data/bccd --split test
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from _record import record, table

STARTS = {
    "identical": "identical",
    "uniform": "uniform",
    "k-means": "kmeans",
    "COCO": "yolov2_coco",
}
FIXED = {"learn_anchors": False, "scale_only_bn": False}
GRADIENT = {"learn_anchors": True, "warmup": "gradient", "scale_only_bn": True}
ANNEALED = {"learn_anchors": True, "warmup": "annealed", "scale_only_bn": True}
BARE = {"learn_anchors": True, "warmup": "none", "scale_only_bn": False}
SOFT = {**GRADIENT, "clustering": False, "scale_only_bn": False}
CLUSTERED = {**GRADIENT, "scale_only_bn": False}

# (start, name of the variant, its settings), most wanted first
GROUPS = {
    "main": [
        *((start, "fixed", FIXED) for start in STARTS),
        ("identical", "annealed", ANNEALED),
        ("k-means", "annealed, no BN", {**ANNEALED, "scale_only_bn": False}),
    ],
    "paper": [(start, "gradient", GRADIENT) for start in STARTS],
    "ablation": [
        ("k-means", "+ opt", BARE),
        ("k-means", "+ opt + soft", SOFT),
        ("k-means", "+ opt + soft + clust", CLUSTERED),
    ],
}


def config_of(args: argparse.Namespace, start: str, variant: str, settings: dict, seed: int):
    """The settings of one run."""
    from kedge.train.config import TrainConfig

    name = f"{start}-{variant}-{seed}".replace(" ", "").replace(",", "-")
    return TrainConfig(
        data=args.data,
        eval_split=args.split,
        anchors=STARTS[start],
        epochs=args.epochs,
        precision=args.precision,
        image_size=tuple(args.image_size),
        seed=seed,
        out=Path(args.runs) / name,
        **settings,
    )


def moved(before: list[list[float]], after: list[list[float]]) -> float:
    """Mean of |log(after / before)| over all sides: 0.01 is about 1 %."""
    ratio = torch.tensor(after).log() - torch.tensor(before).log()
    return float(ratio.abs().mean())


def row_of(
    args: argparse.Namespace, start: str, variant: str, settings: dict, seeds: list[int]
) -> dict:
    """Trains what is missing, and one line of the table."""
    from kedge.train.run import train

    results = []
    for seed in seeds:
        config = config_of(args, start, variant, settings, seed)
        print(f"{time.strftime('%H:%M:%S')} {config.out.name}", file=sys.stderr, flush=True)
        results.append(train(config, resume=True))
    learn = settings["learn_anchors"]
    scores = {name: [100 * r.scores[name] for r in results] for name in ("AP50", "AP", "AP75")}
    row: dict = {"start": start, "anchors": variant, "seeds": len(seeds)}
    for name, values in scores.items():
        row[name] = statistics.mean(values)
        row[f"{name} std"] = statistics.stdev(values) if len(values) > 1 else None
    stations = ["initial"] + ["after warm-up"] * (settings.get("warmup", "none") != "none")
    for name in [*stations, "final"]:
        row[f"fit {name}"] = statistics.mean(r.station(name).mean_best_iou for r in results)
    if learn:
        row["moved by gradient"] = statistics.mean(
            moved(r.station(stations[-1]).shapes, r.station("final").shapes) for r in results
        )
    row["shapes"] = [[[round(s, 1) for s in wh] for wh in r.shapes] for r in results]
    row["values"] = scores
    row["seconds"] = statistics.mean(r.seconds for r in results)
    return row


def cost_of_learning(args: argparse.Namespace, norm: bool, repeats: int = 30) -> dict:
    """Processor seconds per step with learned and with fixed anchors, taken in turns.

    Medians, and that of the ratio of neighbours. ``norm``: with batch norm without shift.

    One synthetic batch of the benchmark's size; forward, loss, backward and optimiser step.
    """
    from kedge.detectors import YOLOv2

    torch.manual_seed(0)
    height, width = args.image_size
    images = torch.rand(16, 3, height, width)
    corner = torch.rand(16, 13, 2) * torch.tensor([width * 0.7, height * 0.7])
    boxes = torch.cat([corner, corner + 10 + torch.rand(16, 13, 2) * 60], dim=2)
    targets = [{"boxes": b, "labels": torch.zeros(13, dtype=torch.int64)} for b in boxes]
    shapes = [(20.0 + 20 * i, 25.0 + 15 * i) for i in range(5)]
    steps = {}
    for learn in (False, True):
        model = YOLOv2(
            num_classes=3, shapes=shapes, learn=learn, scale_only_bn=learn and norm
        ).train()
        steps[learn] = (model, torch.optim.AdamW(model.parameters(), lr=1e-4))
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(repeats + 3):
        for learn in (False, True) if turn % 2 else (True, False):
            model, optimiser = steps[learn]
            start = time.process_time()
            loss = torch.stack(list(model(images, targets).values())).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if turn >= 3:
                seconds[learn].append(time.process_time() - start)
    fixed, learned = (statistics.median(seconds[k]) for k in (False, True))
    paired = statistics.median(b / a for a, b in zip(seconds[False], seconds[True]))
    return {"norm": norm, "fixed": fixed, "learned": learned, "overhead": paired - 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="../shared/data/bccd")
    parser.add_argument("--split", default="test", help="split that is scored")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--precision", default="bf16", choices=["32", "bf16"])
    parser.add_argument("--image-size", type=int, nargs=2, default=[256, 320])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--groups", nargs="+", default=list(GROUPS), choices=list(GROUPS))
    parser.add_argument("--runs", default="runs/anchor_optimization")
    parser.add_argument("--name", default="anchor_optimization", help="of the file in results/")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cost", action="store_true", help="only what learning costs per step")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    if args.cost:
        command = "python benchmarks/anchor_optimization.py --cost"
        costs = [cost_of_learning(args, norm) for norm in (False, True)]
        print(table(costs))
        print(record("anchor_cost", command, costs, 0))
        return
    done: dict[str, list[dict]] = {}
    for group in args.groups:
        for count in range(1, args.seeds + 1):  # all cells with one seed first: a table early
            cells = GROUPS[group]
            done[group] = [row_of(args, *cell, list(range(count))) for cell in cells]
            rows = [row for group_rows in done.values() for row in group_rows]
            path = record(
                args.name,
                "python benchmarks/anchor_optimization.py " + " ".join(sys.argv[1:]),
                rows,
                list(range(args.seeds)),
                settings={k: v for k, v in vars(args).items() if k != "runs"},
            )
            hidden = {"shapes", "values"}
            print(table([{k: v for k, v in row.items() if k not in hidden} for row in rows]))
            print(path, flush=True)


if __name__ == "__main__":
    main()
