"""The work of ``test_ranks.py``: two steps of a detector, on a whole batch or on a rank's half."""

from pathlib import Path

import torch
import torch.distributed as dist
from detectors.scenes import SHAPES, make, target
from torch import nn

from kedge.assign.by_name import strategy
from kedge.design.placed_warmup import PlacedWarmup
from kedge.detectors.annealed_warmup import AnnealedWarmup
from kedge.detectors.gradient_warmup import GradientWarmup
from kedge.detectors.object_warmup import ObjectWarmup
from kedge.losses import BoxOverlap, DenseLoss, Focal, WiseIoULoss, per_element
from kedge.losses.box_terms import HarmonisedCodes
from kedge.losses.class_terms import Harmonised
from kedge.ranks import num_ranks, over_ranks, this_rank
from kedge.sample import All
from kedge.train.stages import first_stage, region_heads
from kedge.types import Targets


def _retinanet(rule=None, loss=None):
    settings = {} if rule is None else {"assign": rule}
    return make("retinanet", **settings, **({} if loss is None else {"loss": loss}))


# beside the detectors as they are: rules with likelihoods, losses with state, learned shapes
SPECIAL = {
    "free_anchor": lambda: _retinanet(strategy("free_anchor")),
    "ghm": lambda: _retinanet(
        loss=DenseLoss(classes=Harmonised(), box=HarmonisedCodes(), class_normalise=per_element)
    ),
    "wise_iou": lambda: _retinanet(
        loss=DenseLoss(classes=Focal(), box=BoxOverlap(WiseIoULoss(momentum=0.5, reduction="none")))
    ),
    "annealed": lambda: make("yolov2", learn=True),
    "gradient": lambda: make("yolov2", learn=True),
    "placed": lambda: make("ssd", learn=True),
}


def scene():
    """Four images of one size: three objects, none, one, and two beside a crowd."""
    g = torch.Generator().manual_seed(1)
    targets = [
        target([[10, 20, 50, 44], [60, 10, 90, 60], [5, 50, 20, 62]], [0, 2, 1]),
        target([]),
        target([[30, 5, 70, 40]], [1]),
        target([[4, 4, 40, 60], [50, 30, 92, 62], [0, 0, 30, 20]], [1, 0, 0], [0, 0, 1]),
    ]
    return torch.rand(4, 3, 64, 96, generator=g), targets


def prepared(name: str) -> nn.Module:
    """A detector without chance, whose norms keep their statistics."""
    model = SPECIAL[name]() if name in SPECIAL else make(name)
    for stage in (first_stage(model), *region_heads(model)):
        if stage is not None and not stage.sample.everything:
            stage.sample = All()
    guidance = getattr(getattr(model, "proposals", model), "guidance", None)
    if guidance is not None:
        object.__setattr__(guidance, "sample", All())
    if name == "denet":
        model.random_share = 0.0
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    return model


def told(name: str) -> dict[str, torch.Tensor]:
    """Losses of two steps, the gradient of the second and the state after it, over all ranks."""
    model, (images, rows) = prepared(name), scene()
    mine = slice(this_rank() * 4 // num_ranks(), (this_rank() + 1) * 4 // num_ranks())
    images, targets = images[mine], Targets.from_list(rows[mine])
    warmup = {
        "annealed": AnnealedWarmup(steps=4, num_shapes=len(SHAPES)),
        "gradient": GradientWarmup(steps=4),
        "placed": PlacedWarmup(steps=4),
    }.get(name)
    found: dict[str, torch.Tensor] = {}
    for step in range(2):
        model.zero_grad()
        if isinstance(warmup, ObjectWarmup):
            warmup.update(model.shapes, targets)
        rule = warmup.assigner() if isinstance(warmup, GradientWarmup) else None
        outcome = model.losses(images, targets, assign=rule)
        losses = dict(outcome.losses)
        if isinstance(warmup, GradientWarmup):
            losses["clustering"] = warmup.loss(model.shapes((64, 96)), targets)
        sum(losses.values()).backward()
        for key, loss in losses.items():
            found[f"step {step}, loss {key}"] = over_ranks(loss) / num_ranks()
        if outcome.background_share is not None:
            found[f"step {step}, share of background"] = outcome.background_share
    for key, weight in model.named_parameters():
        if weight.requires_grad:
            grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            found[f"gradient of {key}"] = over_ranks(grad) / num_ranks()
    found |= {key: value.detach().clone() for key, value in model.state_dict().items()}
    return found


def work(rank: int, folder: str, names: list[str]) -> None:
    """A process: rank 0 leaves what it found in ``folder``."""
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    for name in names:
        found = told(name)
        if rank == 0:
            torch.save(found, Path(folder) / f"{name}.pt")
    dist.destroy_process_group()
