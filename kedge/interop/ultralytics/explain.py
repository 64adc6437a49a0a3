"""explain: what the assigner of an Ultralytics model does with a batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kedge.detectors.predict import evaluating
from kedge.interop.explained import Explained
from kedge.interop.ultralytics.accelerate import accelerate, criteria, detector_of
from kedge.interop.ultralytics.assigner import rule_of
from kedge.types import Assigner, Assignment


def explain(
    model: Any,
    images: Tensor,
    targets: Sequence[Mapping[str, Tensor]],
    *,
    strategy: Assigner | None = None,
) -> Explained:
    """The assignment of a batch, of YOLO26 that of its one-to-many head.

    ``images`` (B, 3, H, W) in [0, 1], sides as the network takes them; ``targets``: one mapping an
    image, ``boxes`` (n, 4) in pixels and ``labels`` (n,) from 0. ``strategy`` in place of the
    model's rule. Nothing in the model changes, running means neither.

    Errors: ``ValueError`` as ``accelerate``; a model that Kedge is already in, too.
    """
    inner, seen = detector_of(model), []
    with accelerate(model, strategy=strategy), evaluating(inner):
        first = next(part for _, part in criteria(inner.criterion))
        assigner = first.assigner
        assigner.table, assigner.watch = -1, seen.append
        inner.criterion(inner(images), _batch(images, targets))
        rule = rule_of(assigner) if strategy is None else strategy
    return Explained(rule=rule, assignment=_only(seen), pixels=images)


def _only(seen: list[Assignment]) -> Assignment:
    if not seen:
        raise ValueError("explain: the batch has no object, so nothing was assigned")
    return seen[0]


def _batch(images: Tensor, targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Ultralytics' batch: boxes as centre and size, in shares of the image."""
    height, width = images.shape[2:]
    size = images.new_tensor([width, height])
    low, high = torch.cat([target["boxes"] for target in targets]).split(2, dim=1)
    index = [torch.full((len(t["boxes"]),), float(i)) for i, t in enumerate(targets)]
    return {
        "img": images,
        "batch_idx": torch.cat(index).to(images),
        "cls": torch.cat([target["labels"] for target in targets]).to(images),
        "bboxes": torch.cat([(low + high) / 2 / size, (high - low) / size], dim=1),
    }
