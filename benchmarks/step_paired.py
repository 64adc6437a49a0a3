"""A training step of this checkout against one of another commit, in turns.

    git worktree add ../before COMMIT
    python benchmarks/step_paired.py ../before

Two processes, one for each checkout, take turns of a few steps on the same images with the same
seed, so that whatever else the machine does falls on both. The ratio of every pair of turns is
taken; its median and quartiles go to results/step_paired.json, with the losses of the last step,
which must agree.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from _record import ROOT, record

WORKER = """
import json, os, sys, time
import torch
torch.set_num_threads(1)
from kedge.detectors import RetinaNet, YOLOv2
from kedge.types import Targets
torch.manual_seed(0)
g = torch.Generator().manual_seed(0)
name, objects = sys.argv[1], int(sys.argv[2])
images = torch.rand(8, 3, 256, 320, generator=g)
rows = []
for _ in range(8):
    corner = torch.rand(objects, 2, generator=g) * torch.tensor([250.0, 190.0])
    size = 12 + torch.rand(objects, 2, generator=g) * 60
    rows.append({"boxes": torch.cat([corner, corner + size], 1),
                 "labels": torch.randint(3, (objects,), generator=g)})
squares = [[(4.0 * s, 4.0 * s), (6.0 * s, 3.0 * s)] for s in (8, 16, 32, 64, 128)]
shapes = [(20, 20), (40, 30), (30, 60), (80, 60), (60, 100)]
if name == "retinanet":
    model = RetinaNet(num_classes=3, shapes=squares, learn=True)
else:
    model = YOLOv2(num_classes=3, shapes=shapes, learn=True)
model.train()
optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
def step():
    targets = Targets.from_list(rows)
    if hasattr(model, "loss_of") or not hasattr(model, "stage"):  # before stages
        losses = model.loss(model.head(images), targets)
    else:
        losses = model.losses(images, targets).losses
    total = torch.stack(list(losses.values())).sum()
    optimiser.zero_grad()
    total.backward()
    optimiser.step()
    return float(total.detach())
print(json.dumps({"loss": step()}), flush=True)
for line in sys.stdin:
    begin, cpu = time.perf_counter(), time.process_time()
    for _ in range(int(line)):
        loss = step()
    print(json.dumps({"loss": loss, "wall": time.perf_counter() - begin,
                      "cpu": time.process_time() - cpu}), flush=True)
"""


class Worker:
    """A process that trains with one checkout."""

    def __init__(self, checkout: Path, detector: str, objects: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, detector, str(objects)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"},
        )
        self._read()

    def _read(self) -> dict[str, float]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def turn(self, steps: int) -> dict[str, float]:
        """Some steps, and what they took."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return self._read()

    def stop(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(before: Path, detector: str, objects: int, turns: int, steps: int) -> dict:
    """Median and quartiles of the ratio of CPU time, now over before."""
    now, then = Worker(ROOT, detector, objects), Worker(before, detector, objects)
    pairs = []
    for number in range(turns):
        order = (now, then) if number % 2 else (then, now)
        done = {id(worker): worker.turn(steps) for worker in order}
        pairs.append((done[id(now)], done[id(then)]))
    now.stop()
    then.stop()
    ratios = [a["cpu"] / b["cpu"] for a, b in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    row = {
        "detector": detector,
        "objects per image": objects,
        "ratio": round(middle, 4),
        "quartiles": [round(low, 4), round(high, 4)],
        "ms before": round(1000 * statistics.median(b["cpu"] for _, b in pairs) / steps, 2),
        "ms now": round(1000 * statistics.median(a["cpu"] for a, _ in pairs) / steps, 2),
        "loss before": pairs[-1][1]["loss"],
        "loss now": pairs[-1][0]["loss"],
    }
    print(row, flush=True)
    return row


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("--turns", type=int, default=24)
    parser.add_argument("--steps", type=int, default=3)
    words = parser.parse_args()
    rows = [
        compare(words.before, detector, objects, words.turns, words.steps)
        for detector in ("yolov2", "retinanet")
        for objects in (8, 60)
    ]
    commit = subprocess.run(
        ["git", "-C", str(words.before), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    record(
        "step_paired",
        "python benchmarks/step_paired.py BEFORE",
        rows,
        0,
        before=commit,
        turns=words.turns,
        steps_a_turn=words.steps,
    )


if __name__ == "__main__":
    main()
