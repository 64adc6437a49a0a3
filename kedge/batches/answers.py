"""An assignment image by image, and the batch put together again."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kedge.types import Anchors, Assignment, Targets

Answer = dict[str, Tensor]
"""Of one image: ``anchor`` and ``target`` (P,), counted within the image, ``weight`` and
``quality`` (P,), ``ignored`` (Q,); counts are int32."""


def split(assignment: Assignment) -> list[Answer]:
    """The answer of every image of a batch, each in the order of its pairs.

    ``ValueError`` where the strategy brings losses, or weights of the background: an answer of an
    image alone has no place for them.
    """
    if assignment.likelihood is not None or assignment.background_weight is not None:
        raise ValueError(
            "this strategy brings losses or weights of the background with every batch, which the "
            "answer of a single image cannot hold; use it with a Stage"
        )
    batch, per_image = assignment.shape
    image = assignment.image
    order = torch.argsort(image, stable=True)
    pairs = torch.bincount(image, minlength=batch).tolist()
    columns = {
        "anchor": (assignment.anchor % per_image)[order].int(),
        "target": (assignment.target - assignment.targets.first[image])[order].int(),
        "weight": assignment.weight[order],
        "quality": assignment.quality[order],
    }
    parts = {name: column.split(pairs) for name, column in columns.items()}
    ignored = assignment.ignored.sort().values
    count = torch.bincount(ignored // per_image, minlength=batch).tolist()
    parts["ignored"] = (ignored % per_image).int().split(count)
    return [{name: part[i] for name, part in parts.items()} for i in range(batch)]


def joined(answers: Sequence[Answer], anchors: Anchors, targets: Targets) -> Assignment:
    """The assignment of a batch from the answer of each of its images."""
    assert anchors.per_image is not None

    def rows(name: str, first: Tensor) -> Tensor:
        """Counted within the image, made to count within the batch."""
        parts = [answer[name] for answer in answers]
        count = torch.tensor([len(part) for part in parts], device=first.device)
        return torch.cat(parts).long() + first.repeat_interleave(count)

    def column(name: str) -> Tensor:
        return torch.cat([answer[name] for answer in answers])

    start = torch.arange(len(answers), device=targets.boxes.device) * anchors.per_image
    return Assignment(
        anchor=rows("anchor", start),
        target=rows("target", targets.first),
        weight=column("weight"),
        quality=column("quality"),
        ignored=rows("ignored", start),
        targets=targets,
        anchors=anchors,
    )


def images_of(targets: Targets, images: Sequence[int]) -> Targets:
    """The targets of some images, ascending, which are then 0, 1, 2 ..."""
    place = torch.full((targets.batch_size,), -1, device=targets.image.device)
    place[torch.tensor(images, device=place.device)] = torch.arange(
        len(images), device=place.device
    )
    image = place[targets.image]
    keep = image >= 0
    return Targets(
        boxes=targets.boxes[keep],
        labels=targets.labels[keep],
        image=image[keep],
        ignore=targets.ignore[keep],
        batch_size=len(images),
    )
