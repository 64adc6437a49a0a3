"""The work of ``test_machines.py``: trainings by the command line, then detections of the last.

    python two_ranks_job.py DATA OUT [FLAG ...]

Lightning starts the second process by running this again. Batch norm, whose statistics are of a
process's own images, is held still.
"""

import sys
from pathlib import Path

import torch
from torch import nn

from kedge.cli import run as kedge
from kedge.data import read
from kedge.predict.detect import detect
from kedge.predict.shared import shared_out
from kedge.ranks import num_ranks
from kedge.train.machines import is_first
from kedge.train.saved import load_run

COMMON = (
    "--image-size 64 96 --batch-size 6 --log-every 1 --optimiser sgd --lr 0.01 "
    "--schedule constant --lr-warmup 2 --selection score=0 --quiet"
)
RUNS = {
    "yolov2": "--learn-anchors --anchors identical --warmup-steps 3 --ema 0.9",
    "faster_rcnn": "--options width=16,hidden=32 --num-anchors 1 --sample all --regions sample=all",
}


still = property(lambda _: False, lambda _, mode: None)  # in place of ``training``


def job(data: str, out: Path, flags: list[str]) -> None:
    for name, own in RUNS.items():
        words = [*COMMON.split(), *own.split(), "--data", data, "--detector", name, *flags]
        words += ["--out", str(out / name)]
        if name == "yolov2" and flags:  # stopped after an epoch
            assert kedge(["train", *words, "--epochs", "1"]) == 0
            words += ["--resume"]
        assert kedge(["train", *words, "--epochs", "2"]) == 0
    run = load_run(out / "faster_rcnn")
    found = shared_out(
        lambda part: detect(run.detector, part, (64, 96), batch_size=2), read(data, "val")
    )
    if num_ranks() == 1 or is_first(run.config):
        torch.save(found, out / "found.pt")


if __name__ == "__main__":
    nn.modules.batchnorm._BatchNorm.training = still  # pyright: ignore
    torch.set_num_threads(1)
    job(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
