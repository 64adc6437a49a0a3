"""What the contracts of detectors do with one: a training step, a look, both checked."""

from typing import Any

import torch
from detectors.scenes import CLASSES, batch, make

from kedge.assign.by_name import strategy
from kedge.sample import All

LIKELIHOODS = {"free_anchor", "mal", "autoassign", "dw"}
IMAGES, TARGETS = batch()


def rule(name: str, classes: int = CLASSES):
    """The strategy with what it needs here: classes, middles that hold a point of stride 16."""
    wanted: dict[str, dict[str, Any]] = {
        "autoassign": {"num_classes": classes},
        "centre_region": {"positive": 0.6, "ignored": 0.8},
    }
    return strategy({"name": name} | wanted[name] if name in wanted else name)


def first(model):
    """What holds the parts of the first stage."""
    return getattr(model, "proposals", last(model))


def last(model):
    """What holds the parts of the last stage."""
    return getattr(model, "regions", model)


def classes_of(model):
    """How many classes its first stage tells apart."""
    return 1 if hasattr(model, "proposals") else CLASSES


def step(model):
    """Losses of a training step with a fixed sample; its gradients are checked."""
    return train_on(model, TARGETS)


def train_on(model, targets):
    """The same with other objects."""
    torch.manual_seed(1)
    model.train().zero_grad()
    losses = model(IMAGES, targets)
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert torch.isfinite(total)
    for parameter_name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert torch.isfinite(parameter.grad).all(), parameter_name
    return {key: float(value.detach()) for key, value in losses.items()}


def look(model):
    """Detections in evaluation; everything about them is checked."""
    model.eval()
    found = model(IMAGES)
    assert len(found) == len(IMAGES)
    for image, one in zip(IMAGES, found):
        height, width = image.shape[1:]
        assert len(one["boxes"]) == len(one["labels"]) == len(one["scores"])
        assert torch.isfinite(one["boxes"]).all()
        assert (one["boxes"] >= 0).all()
        assert (one["boxes"] <= torch.tensor([width, height, width, height])).all()
        assert ((one["labels"] >= 0) & (one["labels"] < CLASSES)).all()
    return found


def fresh(detector, **settings):
    """A detector whose first stage samples nothing, as strategies with a likelihood need."""
    model = make(detector, **settings)
    first(model).sample = settings.get("sample", All())
    return model
