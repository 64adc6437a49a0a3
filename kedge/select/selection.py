"""Selection: from a score for every anchor and class to the boxes that are reported."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from kedge.anchors.segments import rank
from kedge.boxes import clipped
from kedge.select.suppress import NMS, Suppression
from kedge.select.vote import ScoreVoting
from kedge.types import Detections, Predictions


class Candidates(NamedTuple):
    """Anchor and class pairs that may become detections: (K,) each."""

    rows: Tensor
    labels: Tensor
    scores: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which predictions become detections.

    Scores above ``score``; of those the best ``candidates`` (None: all) of every ``top``: of each
    level, each class, or the image; boxes clipped to the image, those with a side of ``min_side``
    or less left out; ``suppress`` removes duplicates among what is not ``apart``: within a class
    ("class"), within a level whatever the class ("level": proposals), or among all ("image"); the
    best ``most`` of each image; ``vote`` then moves these towards their neighbours.

    RetinaNet and FCOS are the defaults (FCOS: ``suppress=NMS(threshold=0.6)``, torchvision's with
    ``score=0.2``); SSD is ``score=0.01, top="class", candidates=400, suppress=NMS(threshold=0.45),
    most=200``; an RPN's proposals are ``score=-1, suppress=NMS(threshold=0.7), apart="level",
    most=1000``. A score that is NaN is never a candidate.
    """

    score: float = 0.05
    suppress: Suppression = field(default_factory=NMS)
    top: Literal["level", "class", "image"] = "level"
    candidates: int | None = 1000
    apart: Literal["class", "level", "image"] = "class"
    min_side: float = 0.0
    vote: ScoreVoting | None = None
    most: int = 100

    def __post_init__(self) -> None:
        if self.most < 1 or (self.candidates is not None and self.candidates < 1):
            raise ValueError(
                f"Selection: candidates {self.candidates} and most {self.most} must be at least 1"
            )
        if self.top not in ("level", "class", "image"):
            raise ValueError(f"Selection.top is 'level', 'class' or 'image', got {self.top!r}")
        if self.apart not in ("class", "level", "image"):
            raise ValueError(f"Selection.apart is 'class', 'level' or 'image', got {self.apart!r}")

    @torch.no_grad()
    def __call__(self, predictions: Predictions, scores: Tensor, sizes: Tensor) -> Detections:
        """The detections of a batch, best first in every image.

        ``scores`` (M, C) in [0, 1] of the predictions' rows; ``sizes`` (B, 2) height and width of
        the images. Boxes are decoded only at the candidates.
        """
        anchors = predictions.anchors
        if anchors is None:
            raise ValueError("Selection needs predictions on anchors: Predictions.from_dense")
        found = self._candidates(predictions, scores, len(sizes))
        image = anchors.image_of(found.rows)
        boxes = predictions.boxes_at(found.rows, found.labels)
        boxes = clipped(boxes, sizes[image])
        good = (boxes[:, 2:] - boxes[:, :2] > self.min_side).all(1).nonzero()[:, 0]
        boxes, image = boxes[good], image[good]
        found = Candidates(*(column[good] for column in found))
        groups = self._groups(predictions, found, image)
        left = self.suppress(boxes, found.scores, groups)
        rows = self._best_of_images(image[left.rows])
        keep, score, chosen = left.rows[rows], left.scores[rows], left.boxes[rows]
        if self.vote is not None:
            chosen = self.vote(boxes, found.scores, groups, keep)
            chosen = clipped(chosen, sizes[image[keep]])  # a mean rounds up
        return Detections(
            boxes=chosen, scores=score, labels=found.labels[keep], image=image[keep],
            batch_size=len(sizes),
        )  # fmt: skip

    def _groups(self, predictions: Predictions, found: Candidates, image: Tensor) -> Tensor:
        """(K,) what suppression keeps apart."""
        if self.apart == "class":
            return image * predictions.num_classes + found.labels
        if self.apart == "image":
            return image
        assert predictions.anchors is not None
        level = predictions.anchors.level(found.rows)
        return image * predictions.anchors.num_levels + level

    def _best_of_images(self, image: Tensor) -> Tensor:
        """Rows of what is best first, sorted by image, the first ``most`` of each."""
        order = torch.argsort(image, stable=True)
        place = torch.arange(len(order), device=order.device)
        return order[rank(place, image[order]) < self.most]

    def _candidates(self, predictions: Predictions, scores: Tensor, batch: int) -> Candidates:
        scores = torch.where(scores > self.score, scores, -torch.inf)  # NaN is above nothing
        assert predictions.anchors is not None
        count = predictions.anchors.per_image
        levels = predictions.anchors.per_level if self.top == "level" else (count or 0,)
        if count is None or levels is None or self.candidates is None:
            return self._ranked(predictions, scores)
        table, start, found = scores.view(batch, count, -1), 0, []
        for size in levels:
            found.append(self._best_of(table[:, start : start + size], start, count))
            start += size
        every = Candidates(*(torch.cat(column) for column in zip(*found)))
        real = torch.isfinite(every.scores).nonzero()[:, 0]
        return Candidates(*(column[real] for column in every))

    def _best_of(self, table: Tensor, start: int, count: int) -> Candidates:
        """The best of a piece (B, n, C) of the table, image by image, or class by class too."""
        batch, size, classes = table.shape
        assert self.candidates is not None
        if self.top == "class":
            table = table.transpose(1, 2).reshape(batch * classes, size)
        else:
            table = table.reshape(batch, size * classes)
        value, at = table.topk(min(self.candidates, table.shape[1]), dim=1)
        segment = torch.arange(len(table), device=at.device)[:, None].expand_as(at)
        if self.top == "class":
            image, label, anchor = segment // classes, segment % classes, at
        else:
            image, label, anchor = segment, at % classes, at // classes
        rows = image * count + start + anchor
        return Candidates(rows.flatten(), label.flatten(), value.flatten())

    def _ranked(self, predictions: Predictions, scores: Tensor) -> Candidates:
        """The same over any anchors, by one sort of the scores that pass."""
        rows, labels = (scores > -torch.inf).nonzero(as_tuple=True)
        value = scores[rows, labels]
        if self.candidates is None:
            return Candidates(rows, labels, value)
        assert predictions.anchors is not None
        segment = predictions.anchors.image_of(rows)
        if self.top == "level":
            levels = predictions.anchors.num_levels
            segment = segment * levels + predictions.anchors.level(rows)
        elif self.top == "class":
            segment = segment * scores.shape[1] + labels
        first = (rank(value, segment, largest=True) < self.candidates).nonzero()[:, 0]
        return Candidates(rows[first], labels[first], value[first])
