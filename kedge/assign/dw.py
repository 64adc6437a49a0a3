"""DW: dual weighting. One weight says how positive an anchor is, another how negative."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.assign.shared.centre_prior import confidence, gaussian_prior
from kedge.assign.shared.costs import checked, class_weights
from kedge.assign.shared.without_graph import without_graph
from kedge.losses.dw import dw_loss
from kedge.types import Anchors, Assignment, ClassWeights, Predictions, Targets

EPS = 1e-12


@dataclass(frozen=True, kw_only=True)
class DW:
    """All anchors inside a target, with a positive and a negative weight each.

    P = score * objectness * exp(-``box_weight`` * GIoU loss) of the prediction, G a Gaussian of
    ``sigma`` strides around the target's centre.

    - ``weight``, positive: exp(``sharpness`` P) P G / sum of exp(``norm_sharpness`` P) P G over the
      target. With the published 5 and 3 the sum is above 1 where confident.
    - ``background_weight``, for the target's class: 1 below IoU 0.5, then falling as (1 - IoU^2) /
      0.75, stretched within the target to start at its lowest value.

    The loss that they are made for is `kedge.losses.dw_loss`.

    Edge cases: a target with no anchor inside has no pairs. With a single one above IoU 0.5 the
    background weight of that anchor is 1 for its class, as in the authors' code.

    Source: Li et al., arXiv:2203.09730, sections 3.2 and 3.3; constants, and the exponents 5 and
    3, of the authors' code. Deviation: where two targets of one class contain an anchor the
    smaller background weight counts (there: the last one's). Box refinement belongs to the head.
    """

    sigma: float = 1.11
    box_weight: float = 5.0
    sharpness: float = 5.0
    norm_sharpness: float = 3.0

    def __post_init__(self) -> None:
        if self.sigma <= 0 or min(self.box_weight, self.sharpness, self.norm_sharpness) < 0:
            raise ValueError(f"DW needs sigma > 0 and the others >= 0, got {self}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        pairs = anchors.inside(targets)
        p, overlap = confidence(predictions, pairs, self.box_weight)
        sigma = torch.full((1, 2), self.sigma, dtype=p.dtype, device=p.device)
        share = p * gaussian_prior(pairs, torch.zeros_like(sigma), sigma)
        total = pairs.sum_per_target(torch.exp(self.norm_sharpness * p) * share)
        weight = torch.exp(self.sharpness * p) * share / total.clamp(min=EPS)[pairs.target]
        background = self._background(predictions, pairs, overlap)
        chosen = pairs.assignment(weight=weight)
        return replace(chosen, background_weight=background, likelihood=dw_loss)

    @staticmethod
    def _background(predictions: Predictions, pairs: Pairs, overlap: Tensor) -> ClassWeights:
        value = (1 - overlap**2) / 0.75
        low = pairs.min_per_target(value)[pairs.target]
        high = pairs.max_per_target(value).clamp(max=1)[pairs.target]
        weight = (value - low + EPS) / (high - low + EPS)
        weight = torch.where(overlap < 0.5, 1.0, weight)
        return class_weights(pairs.anchor, pairs.labels(), weight, predictions.num_classes)
