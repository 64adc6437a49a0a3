"""Training with Kedge's losses beside torchvision's: one RetinaNet, the same weights and images.

    python benchmarks/losses_paired.py

The model is torchvision's, with Kedge inside by ``accelerate(model, loss="kedge")``, and without.
``losses``: assignment, losses and their gradients, of the head's outputs; ``step``: the whole, from
images to the gradients of all weights. Both in turns, one thread, median processor time. The losses
must agree but for torchvision's box loss, which rounds otherwise. Goal: .8 of torchvision's time.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from _record import ROOT, record, table
from turns import in_turns

sys.path.insert(0, str(ROOT))

from dropin_peers import TORCHVISION, given_to_loss, objects

from kedge.interop.torchvision import accelerate

SIDE = 640


def losses_of(model: Any, images: list, targets: list) -> Callable[[], dict]:
    """A call that assigns, loses and goes back to the head's outputs, which are computed here."""
    goals, outputs, *rest = given_to_loss(model, images, targets)
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
    found: dict[str, dict] = {}

    def run(who: str) -> None:
        found[who] = call()

    row: dict[str, Any] = in_turns({who: partial(run, who) for who in inside}, turns, inside)
    total = {
        who: sum(float(value.detach()) for value in losses.values())
        for who, losses in found.items()
    }
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
