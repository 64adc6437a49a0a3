"""NoisyAnchors: soft labels and weights say how cleanly an anchor represents its target."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from kedge.anchors.segments import count_of, largest, mean, smallest
from kedge.assign.shared.costs import checked, class_logit, predicted_boxes
from kedge.assign.shared.without_graph import without_graph
from kedge.boxes import iou
from kedge.rows import pick
from kedge.types import Anchors, Assignment, Predictions, Targets

TINY = 1e-6  # smallest denominator


@dataclass(frozen=True, kw_only=True)
class NoisyAnchors:
    """The ``k`` anchors of largest IoU of every target, each for its own best target.

    With loc the IoU of the predicted box and cls the probability of the target's class, both
    relative to their mean over the candidates of the image:

    - ``quality``, the cleanliness: ``alpha`` * loc + (1 - ``alpha``) * cls, stretched so that the
      image's candidates span [mean loc, 1]. Candidates that are all equal get the mean loc.
    - ``weight``: the same mixture of 1 / (1 - loc) and 1 / (1 - cls), so clean anchors weigh more.

    There is no threshold and nothing is ignored: the rest is background with weight 1. The
    released training rescales both losses so that the weights leave their sums unchanged.

    Edge cases: 1 - x and every mean count as at least 1e-6, so that a perfect prediction (or none
    that overlaps) gives no infinity.

    Source: Li et al., arXiv:1912.05086, section 3; the form is that of the authors' code (alpha
    0.75, N 30). The paper itself writes c = alpha loc + (1 - alpha) cls without the means.
    Deviation: an anchor of IoU 0 is never a candidate.
    """

    k: int = 30
    alpha: float = 0.75

    def __post_init__(self) -> None:
        if self.k < 1 or not 0 <= self.alpha <= 1:
            raise ValueError(f"NoisyAnchors needs k >= 1 and 0 <= alpha <= 1, got {self}")

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch."""
        predictions = checked(predictions, anchors, targets, self)
        chosen = anchors.most_overlapping(targets, self.k).distinct_anchors()
        pairs = anchors.overlapping(targets, 0.0, among=chosen)
        pairs = pairs.best_target_per_anchor(by=pairs.iou())
        loc = iou(predicted_boxes(predictions, pairs), pairs.target_boxes())
        cls = class_logit(predictions, pairs).sigmoid().to(loc.dtype)
        image = pick(targets.image, pairs.target)
        share = _Share(image, targets.batch_size, count_of(image, targets.batch_size))
        middle = share.mean(loc)
        mixed = self._mixed(loc, middle, cls, share.mean(cls))
        low, high = share.of(smallest, mixed), share.of(largest, mixed)
        clean = middle + (mixed - low) * (1 - middle) / (high - low).clamp(min=TINY)
        loc, cls = 1 / (1 - loc).clamp(min=TINY), 1 / (1 - cls).clamp(min=TINY)
        weight = self._mixed(loc, share.mean(loc), cls, share.mean(cls))
        return pairs.assignment(quality=clean.clamp(0, 1), weight=weight)

    def _mixed(self, loc: Tensor, loc_mean: Tensor, cls: Tensor, cls_mean: Tensor) -> Tensor:
        """(P,) the mixture of both, each relative to its mean over the image."""
        loc, cls = loc / loc_mean.clamp(min=TINY), cls / cls_mean.clamp(min=TINY)
        return self.alpha * loc + (1 - self.alpha) * cls


class _Share(NamedTuple):
    """What the candidates of an image share: (P,) at each of them."""

    image: Tensor  # (P,)
    images: int
    rows: Tensor  # (B,)

    def mean(self, values: Tensor) -> Tensor:
        return pick(mean(values, self.image, self.images, self.rows).to(values.dtype), self.image)

    def of(self, extreme: Callable[[Tensor, Tensor, int], Tensor], values: Tensor) -> Tensor:
        return pick(extreme(values, self.image, self.images), self.image)
