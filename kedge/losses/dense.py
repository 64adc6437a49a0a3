"""DenseLoss: the loss of a stage, put together from terms."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kedge.losses.box_terms import BoxTerm, CodeL1
from kedge.losses.class_terms import ClassTerm, Focal
from kedge.losses.loss import Losses
from kedge.losses.normalise import per_positive
from kedge.losses.objectness import Objectness
from kedge.losses.quality_terms import QualityTerm, iou_of_pairs
from kedge.ranks import over_ranks, per_rank
from kedge.sample import All, Sample
from kedge.scores import ClassScores
from kedge.swappable import Swappable
from kedge.types import Assignment, Predictions

Normalise = Callable[[Assignment, Sample, int], Tensor]
Weigh = Callable[[Predictions, Assignment], Tensor]
Extra = Callable[[Predictions, Assignment], Tensor]


class DenseLoss(Swappable):
    """Losses of classes, boxes and, where the head has them, objectness and quality, on any
    assignment.

    Args:
        classes: the class term; on all sampled anchors, or with ``objectness`` on the pairs alone,
            since objectness then says what is background.
        box: the box loss of a pair.
        quality: the loss of a quality branch at the pairs.
        objectness: see ``Objectness``.
        rescore: the class target of a pair is the IoU of its predicted box (GFL, VFNet, YOLOX),
            times the assignment's ``quality``.
        weigh_boxes: how much a pair's box counts beside its ``weight`` (``by_centreness``,
            ``by_iou`` ...); the box loss is then divided by the sum of both.
        per_object: the pairs of every object weigh the same together, however many they are; by
            default every pair weighs what its strategy says, and an object with ten anchors as much
            as ten with one.
        normalise, class_normalise: what sums are divided by; the second for classes alone, None:
            the first.
        class_weight, box_weight, quality_weight: weights of the terms.
        extra: further terms by name, scalars of predictions and assignment.

    Losses: ``classification`` and ``box``, ``objectness``, ``quality`` and extra ones as given.
    Every pair counts with its ``weight``; its class target is its ``quality``; background terms
    weigh what ``background_weight`` says, which raises ``ValueError`` where classes compete or are
    learned at the pairs alone. State of terms (running counts, means) is state of this module.
    """

    def __init__(
        self,
        *,
        classes: ClassTerm | None = None,
        box: BoxTerm | None = None,
        quality: QualityTerm | None = None,
        objectness: Objectness | None = None,
        rescore: bool = False,
        weigh_boxes: Weigh | None = None,
        per_object: bool = False,
        normalise: Normalise = per_positive,
        class_normalise: Normalise | None = None,
        class_weight: float = 1.0,
        box_weight: float = 1.0,
        quality_weight: float = 1.0,
        extra: dict[str, Extra] | None = None,
    ) -> None:
        super().__init__()
        self.classes: ClassTerm = Focal() if classes is None else classes
        self.box: BoxTerm = CodeL1() if box is None else box
        self.quality, self.objectness = quality, objectness
        self.rescore, self.weigh_boxes, self.per_object = rescore, weigh_boxes, per_object
        self.normalise, self.class_normalise = normalise, class_normalise
        self.class_weight, self.box_weight = class_weight, box_weight
        self.quality_weight = quality_weight
        self.extra = dict(extra or {})
        for name, term in self.extra.items():
            if isinstance(term, nn.Module):
                self.add_module(f"extra_{name}", term)

    @property
    def class_scores(self) -> ClassScores:
        """How the class outputs are read."""
        return self.classes.scores

    @property
    def balances(self) -> bool:
        """Whether the class term fades easy background; never with objectness, which does not."""
        return self.objectness is None and self.classes.balances

    def forward(
        self, predictions: Predictions, assignment: Assignment, sample: Sample | None = None
    ) -> Losses:
        """The losses of a batch; without ``sample`` of every pair and all background."""
        sample = All()(assignment) if sample is None else sample
        assignment = assignment.per_object() if self.per_object else assignment
        count = self.normalise(assignment, sample, predictions.num_classes)
        by_class = self.class_normalise or self.normalise
        class_count = by_class(assignment, sample, predictions.num_classes)
        chosen = assignment.only(sample.positive)
        positive, background = self._classes(predictions, chosen, sample.negative)
        terms = {
            "classification": self.class_weight * (positive + background) / class_count,
            "box": self._boxes(predictions, chosen, count),
        }
        positive, background = positive.detach(), background.detach()
        if self.objectness is not None:
            at_pairs, elsewhere = self.objectness(predictions, assignment, sample)
            terms["objectness"] = (at_pairs + elsewhere) / count
            positive, background = positive + at_pairs.detach(), elsewhere.detach()
        if self.quality is not None:
            loss = self.quality(predictions, chosen) * chosen.weight
            terms["quality"] = self.quality_weight * loss.sum() / count
        for name, term in self.extra.items():
            terms[name] = term(predictions, assignment) / count
        positive, background = over_ranks(torch.stack([positive, background])).unbind()
        return Losses(terms, background / (positive + background).clamp(min=1e-12))

    def _boxes(self, predictions: Predictions, assignment: Assignment, count: Tensor) -> Tensor:
        weight = assignment.weight
        if self.weigh_boxes is not None:
            weight = weight * self.weigh_boxes(predictions, assignment).detach().to(weight.dtype)
            count = per_rank(weight.sum(), 1e-6)
        return self.box_weight * (self.box(predictions, assignment) * weight).sum() / count

    def _classes(
        self, predictions: Predictions, assignment: Assignment, negative: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sums over the pairs, weighted, and over the background rows ``negative`` (Q,)."""
        pairs = predictions.logits_at(assignment.anchor)
        if self.objectness is not None:
            if assignment.background_weight is not None:
                raise ValueError(
                    "this loss learns classes at the pairs alone and cannot obey the assignment's "
                    "background_weight: take a strategy without one, or a loss without objectness"
                )
            loss = _per_row(self._class_losses(predictions, pairs, assignment, None))
            return (loss * assignment.weight).sum(), loss.new_zeros(())
        every = predictions.class_rows
        keep = torch.zeros(len(every), dtype=torch.bool, device=every.device)
        keep[negative] = True
        few = 4 * len(negative) < len(every)  # then the rest is not even computed
        rows = negative.sort().values if few else None
        logits = torch.cat([every if rows is None else every[rows], pairs])
        counted = keep if rows is None else keep[rows]
        counts = torch.cat([counted, counted.new_ones(len(pairs))])
        loss = self._class_losses(predictions, logits, assignment, counts)
        per_row = _per_row(loss)
        split = len(logits) - len(pairs)
        background = torch.where(counted, per_row[:split], 0.0).sum()
        background = background + _corrected(loss[:split], assignment, rows, keep)
        return (per_row[split:] * assignment.weight).sum(), background

    def _class_losses(
        self,
        predictions: Predictions,
        logits: Tensor,
        assignment: Assignment,
        counts: Tensor | None,
    ) -> Tensor:
        """(R, C) or (R,) the class loss of rows, of which the last are the pairs."""
        quality = assignment.quality
        if self.rescore:
            quality = quality * iou_of_pairs(predictions, assignment).to(quality.dtype)
        if counts is None:
            counts = torch.ones(len(logits), dtype=torch.bool, device=logits.device)
        return self.classes(logits, assignment.labels, quality, counts)

    @torch.no_grad()
    def per_anchor(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        """(M,) what every anchor costs now: as background, or as its pair, box loss included."""
        training, every = self.training, predictions.class_rows
        self.eval()  # what is counted, is counted once
        try:
            pairs = predictions.logits_at(assignment.anchor)
            rows = torch.cat([every, pairs])
            loss = _per_row(self._class_losses(predictions, rows, assignment, None))
            own = loss[len(every) :] + self.box_weight * self.box(predictions, assignment)
            loss = loss[: len(every)]
            if self.objectness is not None:
                own = own + self.objectness.pairs(predictions, assignment)
                loss = self.objectness.elsewhere(predictions)
        finally:
            self.train(training)
        highest = torch.full_like(loss, -torch.inf)
        highest = highest.scatter_reduce(0, assignment.anchor, own.to(loss.dtype), "amax")
        return torch.where(torch.isfinite(highest), highest, loss)


def _per_row(loss: Tensor) -> Tensor:
    return loss.sum(-1) if loss.ndim == 2 else loss


def _corrected(loss: Tensor, assignment: Assignment, rows: Tensor | None, counts: Tensor) -> Tensor:
    """What the listed background terms of ``loss`` weigh less than 1, to be added, negative."""
    listed = assignment.background_weight
    if listed is None:
        return loss.new_zeros(())
    if loss.ndim == 1:
        raise ValueError(
            "where classes compete the background has no term for each class: this loss cannot "
            "obey the assignment's background_weight; take a loss with a sigmoid for each class"
        )
    use = counts[listed.anchor].nonzero()[:, 0]
    row = listed.anchor[use]
    row = row if rows is None else torch.searchsorted(rows, row)
    term = loss[row, listed.label[use]]
    return ((listed.weight[use].to(term.dtype) - 1) * term).sum()
