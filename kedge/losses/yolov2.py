"""YOLOv2's loss, on any assignment."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kedge import boxes as geometry
from kedge.losses.class_scores import ClassScores, Softmax
from kedge.losses.on_grid import codes_of_pairs, free_anchors, on_grid, positives
from kedge.types import Assignment, Predictions, Targets


def squared(logits: Tensor, target: Tensor) -> Tensor:
    """Half the squared error of the sigmoid: darknet's objectness, whose gradient has no 2."""
    return (logits.sigmoid() - target).square() / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class YOLOv2Loss:
    """Weights and choices of YOLOv2's loss; the defaults are darknet's.

    ``coordinates``, ``objectness`` (at positives), ``background`` (objectness elsewhere) and
    ``classes`` are weights. ``rescore``: the objectness target is the IoU of the predicted box with
    its object (no gradient), else 1. ``confidence(logits, target)`` is the error of the objectness
    (``squared``; or ``binary_cross_entropy_with_logits`` with ``reduction="none"``). ``pull`` is
    the weight with which, during the first ``pull_images`` images, every prediction without an
    object is drawn to its own anchor (darknet: 0.01 and 12,800; off by default).
    """

    coordinates: float = 1.0
    objectness: float = 5.0
    background: float = 1.0
    classes: float = 1.0
    rescore: bool = True
    pull: float = 0.01
    pull_images: int = 0
    confidence: Callable[[Tensor, Tensor], Tensor] = squared
    class_scores: ClassScores = field(default_factory=Softmax)


def yolov2_loss(
    predictions: Predictions,
    targets: Targets,
    assignment: Assignment,
    settings: YOLOv2Loss,
    *,
    pull: bool = False,
) -> dict[str, Tensor]:
    """``box``, ``objectness`` and ``classification`` (and ``pull``): scalars, to be added up.

    box: half the squared error of (sigma(tx), sigma(ty), tw, th), times 2 - w h (the object's share
    of the image), so that a small object counts up to twice. The target of tw is log(g / a) with
    the anchor's size in the graph: the shapes receive the gradient of delta + log a - log g.

    Every pair counts with its ``weight``; ``quality`` scales the objectness target and the class
    target. All terms are sums divided by the same number, the sum of the weights, but at least one
    per image: the balance of the terms is darknet's, and images without objects still teach what
    background is.

    Source: darknet ``src/region_layer.c``, arXiv:1612.08242. Deviations: darknet's sums are per
    image (it divides by the batch through the learning rate).
    """
    weight = assignment.weight
    count = positives(assignment).clamp(min=targets.batch_size)
    objectness = predictions.objectness
    assert objectness is not None, "YOLOv2 predicts objectness"
    elsewhere = assignment.background()
    background = settings.confidence(objectness, torch.zeros_like(objectness))
    background = torch.where(elsewhere, background, 0.0).sum()
    logits = predictions.logits_at(assignment.anchor)
    classes = settings.class_scores.loss(logits, assignment.labels, assignment.quality)
    confidence = settings.confidence(
        objectness.flatten()[assignment.anchor],
        _objectness_target(predictions, targets, assignment, settings),
    )
    out = {
        "box": settings.coordinates * (_box(predictions, targets, assignment) * weight).sum(),
        "objectness": settings.objectness * (confidence * weight).sum()
        + settings.background * background,
        "classification": settings.classes * (classes * weight).sum(),
    }
    if pull:
        out["pull"] = settings.pull * _pull(predictions, assignment)
    return {name: value / count for name, value in out.items()}


def _box(predictions: Predictions, targets: Targets, assignment: Assignment) -> Tensor:
    """(P,) half the squared error of the codes, times 2 - w h."""
    code, goal = codes_of_pairs(predictions, targets, assignment)
    place = (code[:, :2].sigmoid() - goal[:, :2].sigmoid()).square().sum(1)
    size = (code[:, 2:] - goal[:, 2:]).square().sum(1)
    height, width = on_grid(predictions)[0].image_size
    share = geometry.area(targets.boxes[assignment.target]) / (height * width)
    return (2 - share.clamp(max=1)) * (place + size) / 2


def _objectness_target(
    predictions: Predictions, targets: Targets, assignment: Assignment, settings: YOLOv2Loss
) -> Tensor:
    """(P,) what the objectness of every pair should be."""
    if not settings.rescore:
        return assignment.quality
    with torch.no_grad():
        found = predictions.boxes_at(assignment.anchor)
        return geometry.iou(found, targets.boxes[assignment.target]) * assignment.quality


def _pull(predictions: Predictions, assignment: Assignment) -> Tensor:
    """Half the squared distance of all other predictions from their own anchors."""
    codes = predictions.codes.flatten(0, 1)
    place = (codes[:, :2].sigmoid() - 0.5).square().sum(1)
    distance = place + codes[:, 2:].square().sum(1)
    return torch.where(free_anchors(assignment), distance, 0.0).sum() / 2
