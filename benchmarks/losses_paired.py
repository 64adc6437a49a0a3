"""Training with Kedge's losses beside torchvision's: one RetinaNet, the same weights and images.

    python benchmarks/losses_paired.py

The model is torchvision's, with Kedge inside by ``accelerate(model, loss="kedge")``, and without.
``losses``: assignment, losses and their gradients, of the head's outputs; ``step``: the whole, from
images to the gradients of all weights. Both in turns, one thread, median processor time. The losses
must agree but for torchvision's box loss, which rounds otherwise. Goal: .8 of torchvision's time.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from _record import ROOT, record, table

sys.path.insert(0, str(ROOT))

from dropin_peers import TORCHVISION, objects

from kedge.interop.torchvision import accelerate

SIDE = 640


def losses_of(model: Any, images: list, targets: list) -> Callable[[], dict]:
    """A call that assigns, loses and goes back to the head's outputs, which are computed here."""
    seen: list[tuple] = []
    with torch.no_grad():
        model.compute_loss = lambda *given: seen.append(given) or {}
        model(images, targets)
        del model.compute_loss
    goals, outputs, *rest = seen[0]
    outputs = {name: values.requires_grad_() for name, values in outputs.items()}

    def call() -> dict:
        found = model.compute_loss(goals, outputs, *rest)
        sum(found.values()).backward()
        return found

    return call


def step_of(model: Any, images: list, targets: list) -> Callable[[], dict]:
    """A call that trains a step but for the optimiser's part."""

    def call() -> dict:
        model.zero_grad()
        found = model(images, [dict(target) for target in targets])
        sum(found.values()).backward()
        return found

    return call


def paired(model: Any, call: Callable[[], dict], turns: int) -> dict:
    """ms of both, their ratio, and by how much of itself the summed loss differs."""
    inside = {"torchvision": nullcontext, "kedge": partial(accelerate, model, loss="kedge")}
    times: dict[str, list[float]] = {who: [] for who in inside}
    total = {}
    for turn in range(turns + 1):  # the first warms up
        for who, enter in inside.items():
            with enter():
                start = time.process_time()
                found = call()
                spent = time.process_time() - start
            if turn:
                times[who].append(1e3 * spent)
            total[who] = sum(float(value.detach()) for value in found.values())
    row = {f"{who} ms": statistics.median(spent) for who, spent in times.items()}
    row["kedge / torchvision"] = row["kedge ms"] / row["torchvision ms"]
    row["losses differ by"] = abs(total["kedge"] / total["torchvision"] - 1)
    return row


def main() -> None:
    """Measures, prints and writes ``results/losses_paired.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for batch, count in ((2, 8), (2, 50), (8, 8)):
        torch.manual_seed(options.seed)
        rng = torch.Generator().manual_seed(options.seed)
        model = TORCHVISION["RetinaNet"]().train()
        model.transform.min_size, model.transform.max_size = (SIDE,), SIDE
        images = list(torch.rand(batch, 3, SIDE, SIDE, generator=rng))
        targets = [objects(count, SIDE, rng) for _ in images]
        for what, make in (("losses", losses_of), ("step", step_of)):
            if what == "step" and batch > 2:
                continue  # minutes a step, most of it the network
            turns = options.turns if what == "losses" else 3
            row = {"what": what, "batch": batch, "objects": count}
            rows.append(row | paired(model, make(model, images, targets), turns))
            print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(rows))
    command = " ".join(["python benchmarks/losses_paired.py", *sys.argv[1:]])
    print(record("losses_paired", command, rows, options.seed, threads=1, side=SIDE))


if __name__ == "__main__":
    main()
