"""A whole epoch of Ultralytics' own trainer on a dense set, with Kedge's callbacks and without.

    python benchmarks/dropin_epoch.py ../shared/data/receipt_lines

In the environment of ``make parity``. After a warm-up both runs start from one seed and take every
setting of Ultralytics' trainer (mosaic included) but the number of epochs; the curve is the three
losses of every step. Writes ``results/dropin_epoch.json``.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _record import ROOT, record, table

sys.path.insert(0, str(ROOT))

from peers import ultralytics

from kedge.data import read
from kedge.interop.ultralytics import callbacks


def yolo_folder(data: Path, out: Path) -> tuple[Path, int, int]:
    """The data set as Ultralytics reads it: links to the images, a text file of boxes beside each.

    Returns the file that names it, and how many images and objects it has to train on.
    """
    splits = {split: read(data, split=split) for split in ("train", "val")}
    for split, part in splits.items():
        for kind in ("images", "labels"):
            (out / kind / split).mkdir(parents=True)
        for image in part.records:
            assert image.file is not None
            size = np.array([image.width, image.height] * 2)
            low, high = np.split(image.boxes.astype(np.float64) / size, 2, axis=1)
            rows = np.concatenate([image.labels[:, None], (low + high) / 2, high - low], 1)
            (out / "images" / split / image.file.name).symlink_to(image.file.resolve())
            np.savetxt(out / "labels" / split / f"{image.file.stem}.txt", rows, "%.9g")
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(splits["train"].classes))
    text = f"path: {out}\ntrain: images/train\nval: images/val\nnames:\n{names}"
    (out / "data.yaml").write_text(text)
    return out / "data.yaml", len(splits["train"]), splits["train"].num_boxes


class Enough(Exception):
    """The run that only warms up has begun."""


def warm_up(data: Path, out: Path, options: argparse.Namespace) -> None:
    """Begins a training: the first of a process draws other batches than all that follow."""

    def stop(trainer: Any) -> None:
        raise Enough

    from ultralytics import YOLO

    model: Any = YOLO(f"{options.model}.yaml")
    model.add_callback("on_train_batch_end", stop)
    try:
        model.train(**settings(data, out, "warm-up", options))
    except Enough:
        return


def settings(data: Path, out: Path, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Of Ultralytics' trainer; everything else is its own."""
    return {
        "data": str(data), "epochs": options.epochs, "imgsz": options.size, "workers": 0,
        "batch": options.batch, "device": "cpu", "seed": options.seed, "plots": False,
        "verbose": False, "val": False, "amp": False, "project": str(out), "name": name,
    }  # fmt: skip


def epochs(data: Path, out: Path, ours: bool, options: argparse.Namespace) -> tuple[list, float]:
    """The losses of every step, and the processor seconds of the training without validation."""
    from ultralytics import YOLO

    curve: list[list[float]] = []
    clock = [0.0, 0.0]
    model: Any = YOLO(f"{options.model}.yaml")
    if ours:
        for event, function in callbacks().items():
            model.add_callback(event, function)

    def begin(trainer: Any) -> None:
        clock[0] = time.process_time()

    def step(trainer: Any) -> None:
        items = trainer.loss_items
        curve.append([float(v) for v in (items.values() if isinstance(items, dict) else items)])
        print(f"{len(curve)} {curve[-1]}", file=sys.stderr, flush=True)

    def end(trainer: Any) -> None:
        clock[1] += time.process_time() - clock[0]

    model.add_callback("on_train_epoch_start", begin)
    model.add_callback("on_train_batch_end", step)
    model.add_callback("on_train_epoch_end", end)
    model.train(**settings(data, out, f"kedge-{ours}", options))
    return curve, clock[1]


def main() -> None:
    """Trains twice, compares, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="yolo11n")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    ultralytics()
    rows, curves = [], []
    with tempfile.TemporaryDirectory() as folder:
        data, images, objects = yolo_folder(options.data, Path(folder))
        warm_up(data, Path(folder) / "runs", options)
        for ours in (False, True):
            curve, seconds = epochs(data, Path(folder) / "runs", ours, options)
            curves.append(curve)
            rows.append({"assigns": "Kedge" if ours else "Ultralytics", "steps": len(curve)})
            rows[-1] |= {"seconds": seconds, "seconds per step": seconds / len(curve)}
            rows[-1] |= {f"last {n} loss": v for n, v in zip(("box", "class", "dfl"), curve[-1])}
    differ = sum(a != b for a, b in zip(*curves, strict=True))
    print(table(rows), f"\nsteps whose losses differ: {differ} of {len(curves[0])}")
    command = " ".join(["python benchmarks/dropin_epoch.py", *sys.argv[1:]])
    facts = {"images": images, "objects": objects, "steps_that_differ": differ, "curves": curves}
    facts["settings"] = {n: getattr(options, n) for n in ("model", "epochs", "batch", "size")}
    print(record("dropin_epoch", command, rows, options.seed, threads=1, **facts))


if __name__ == "__main__":
    main()
