"""explain: what the matching of Detectron2's RetinaNet or RPN does with a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kedge.anchors.recognise import recognise
from kedge.detectors.predict import evaluating
from kedge.interop.detectron2.matching import rule_of
from kedge.interop.detectron2.parts import owner_of
from kedge.interop.explained import Explained, as_seen
from kedge.interop.undo import Undo
from kedge.types import Assigner, Assignment, Targets


def explain(
    model: nn.Module,
    batched_inputs: Sequence[Mapping[str, Any]],
    *,
    strategy: Assigner | None = None,
) -> Explained:
    """The assignment of a batch (of an R-CNN: of its proposal network), before it is sampled.

    ``batched_inputs``: as the model takes them in training. ``strategy``, one of geometry, in place
    of the model's rule. Anchors that the proposal network leaves out at the border count as
    ignored. The model detects once, in evaluation mode; nothing in it changes.

    Errors: ``ValueError`` for models without RetinaNet or RPN, matchers that are not known, and
    strategies that read predictions.
    """
    owner = owner_of(model)
    rule = rule_of(owner.anchor_matcher) if strategy is None else strategy
    holder: Any = next(part for part in model.modules() if hasattr(part, "pixel_mean"))
    images, anchors = [], []
    with Undo("Kedge watches Detectron2's") as undo, evaluating(model):
        hook = holder.backbone.register_forward_pre_hook(lambda _, given: images.append(given[0]))
        undo.later(hook.remove)
        hook = owner.anchor_generator.register_forward_hook(lambda *given: anchors.extend(given[2]))
        undo.later(hook.remove)
        model(batched_inputs)
    boxes = torch.cat([level.tensor for level in anchors])
    objects = [image["instances"] for image in batched_inputs]
    targets = Targets.from_list(
        [
            {"boxes": o.gt_boxes.tensor.to(boxes), "labels": o.gt_classes.to(boxes.device)}
            for o in objects
        ]
    )
    found = rule(recognise(boxes, [len(level) for level in anchors]), targets)
    border = getattr(owner, "anchor_boundary_thresh", -1)
    if border >= 0:
        every = type(anchors[0]).cat(anchors)
        inside = [every.inside_box(part.image_size, border) for part in objects]
        found = _without(found, ~torch.cat(inside))
    red_first = getattr(holder, "input_format", "BGR") == "RGB"
    pixels = as_seen(images[0], holder.pixel_mean, holder.pixel_std, red_first)
    return Explained(rule=rule, assignment=found, pixels=pixels)


def _without(found: Assignment, outside: Tensor) -> Assignment:
    """The same where rows ``outside`` (M,) are neither positive nor background."""
    ignored = outside.clone()
    ignored[found.ignored] = True
    kept = found.only((~outside[found.anchor]).nonzero()[:, 0])
    return replace(kept, ignored=ignored.nonzero()[:, 0])
