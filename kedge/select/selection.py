"""From a score for every anchor and class to the boxes that are reported."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from kedge.losses.on_grid import on_grid
from kedge.types import Detections, Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which predictions become detections.

    Scores above ``score``; of those the best ``per_level`` on every level; class-wise non-maximum
    suppression of what overlaps a better box by more than ``nms``; the best ``most`` of each image.
    """

    score: float = 0.05
    nms: float = 0.5
    per_level: int = 1000
    most: int = 100

    def __post_init__(self) -> None:
        if self.per_level < 1 or self.most < 1:
            raise ValueError(
                f"Selection: per_level {self.per_level} and most {self.most} must be at least 1"
            )


def _candidates(scores: Tensor, levels: list[int], settings: Selection) -> tuple[Tensor, Tensor]:
    """(B, K) scores and their places in the flattened (N C); -1 where there are fewer than K."""
    batch, anchors, classes = scores.shape
    del anchors
    values, places, start = [], [], 0
    for level in scores.split(levels, 1):
        flat = level.reshape(batch, -1)
        value, place = flat.topk(min(settings.per_level, flat.shape[1]), dim=1)
        values.append(value)
        places.append(place + start * classes)
        start += level.shape[1]
    value, place = torch.cat(values, 1), torch.cat(places, 1)
    return value, torch.where(value > settings.score, place, -1)


def select(
    scores: Tensor, predictions: Predictions, sizes: Tensor, settings: Selection
) -> Detections:
    """The detections of a batch, best first in every image.

    ``scores`` (B, N, C) in [0, 1]; ``sizes`` (B, 2) height and width of the images, to which boxes
    are clipped before the suppression. Boxes are decoded only at the candidates. A NaN score is no
    candidate; a box without area inside its image is dropped.
    """
    batch, count, classes = scores.shape
    levels = list(on_grid(predictions)[0].anchors_per_level)
    value, place = _candidates(scores, levels, settings)
    image, column = (place >= 0).nonzero(as_tuple=True)
    score, place = value[image, column], place[image, column]
    anchor, label = place // classes, place % classes
    boxes = predictions.boxes_at(image * count + anchor)
    limit = sizes.flip(1).to(boxes)[image]
    boxes = torch.minimum(boxes.clamp(min=0), limit.repeat(1, 2))
    solid = (boxes[:, 2:] > boxes[:, :2]).all(1)
    kept = []
    for number in range(batch):
        mine = (solid & (image == number)).nonzero().squeeze(1)
        best = batched_nms(boxes[mine], score[mine].to(boxes.dtype), label[mine], settings.nms)
        kept.append(mine[best[: settings.most]])
    keep = torch.cat(kept)
    return Detections(
        boxes=boxes[keep], scores=score[keep], labels=label[keep], image=image[keep],
        batch_size=batch,
    )  # fmt: skip
