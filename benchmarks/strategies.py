"""AP50 by assignment strategy: one detector, one grid, one budget; only the strategy differs.

RetinaNet-tiny with one square anchor of four strides per cell. Losses are RetinaNet's, or the
likelihood that belongs to the strategy; nothing is tuned for any of them. Finished runs are kept in
``--runs`` and not trained again; every row names the commits its runs were made at.

    python benchmarks/strategies.py --data ../shared/data/bccd --split test
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from _record import commit, record, table

from kedge.assign.by_name import STRATEGIES

SQUARES = ",".join(f"{4 * s}x{4 * s}" for s in (8, 16, 32, 64, 128))


def run(args: argparse.Namespace, name: str, seed: int):
    """One run; its result."""
    from kedge.train.config import TrainConfig
    from kedge.train.run import train

    config = TrainConfig(
        data=args.data,
        eval_split=args.split,
        detector="retinanet",
        assign=name,
        anchors=SQUARES,
        epochs=args.epochs,
        batch_size=8,
        lr=args.lr,
        precision=args.precision,
        image_size=tuple(args.image_size),
        seed=seed,
        out=Path(args.runs) / f"{name}-{seed}",
    )
    print(f"{time.strftime('%H:%M:%S')} {config.out.name}", file=sys.stderr, flush=True)
    result, note = train(config, resume=True), config.out / "commit.txt"
    if not note.exists():
        note.write_text(commit())
    return result, note.read_text()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="../shared/data/bccd")
    parser.add_argument("--split", default="test", help="split that is scored")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--precision", default="bf16", choices=["32", "bf16"])
    parser.add_argument("--image-size", type=int, nargs=2, default=[256, 320])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--runs", default="runs/strategies")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    rows: list[dict] = []
    for name in args.strategies:
        runs = [run(args, name, seed) for seed in range(args.seeds)]
        results = [result for result, _ in runs]
        row: dict = {"strategy": name, "seeds": args.seeds}
        for score in ("AP50", "AP", "AP75"):
            values = [100 * r.scores[score] for r in results]
            row[score] = statistics.mean(values)
            row[f"{score} std"] = statistics.stdev(values) if len(values) > 1 else None
        for label, title in enumerate(results[0].classes):
            of_class = [100 * r.scores["AP50_per_class"][label] for r in results]
            row[f"AP50 {title}"] = statistics.mean(of_class)
        row["seconds per step"] = statistics.mean(r.seconds_per_step or 0 for r in results)
        row["AP50 of each seed"] = [100 * r.scores["AP50"] for r in results]
        row["commits"] = sorted({made_at for _, made_at in runs})
        rows = sorted([*rows, row], key=lambda r: -r["AP50"])
        path = record(
            "strategies",
            "python benchmarks/strategies.py " + " ".join(sys.argv[1:]),
            rows,
            list(range(args.seeds)),
            settings={k: v for k, v in vars(args).items() if k != "runs"},
        )
    print(table(rows))
    print(path)


if __name__ == "__main__":
    main()
