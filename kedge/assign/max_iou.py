"""MaxIoU: two fixed IoU thresholds, and the low-quality match (Faster R-CNN, RetinaNet, SSD's
peers)."""

from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from kedge.anchors.measures import Measure, measured
from kedge.anchors.pairs import Pairs
from kedge.assign.shared.without_graph import without_graph
from kedge.types import Anchors, Assignment, Predictions, Targets

LowQuality = Literal["own", "rescuer", "none"]


@dataclass(frozen=True, kw_only=True)
class MaxIoU:
    """An anchor is positive for its best target at IoU >= ``positive``, background below
    ``negative``.

    Between the two it is ignored. The low-quality match then makes sure that no target is left
    alone: the anchors with the largest IoU of each target (all ties) become positive, whatever that
    IoU is,

    - ``"own"``: each for its *own* best target, which need not be the one that rescued it
      (torchvision, Detectron2, the original Faster R-CNN);
    - ``"rescuer"``: for the target that rescued it, later targets overwriting (MMDetection);
      targets whose best IoU is below ``min_low_quality`` rescue nothing (0.3 in MMDetection's RPN,
      else 0);
    - ``"none"``: no rescue (the second stage of R-CNN).

    Equal IoU: the lowest target. RetinaNet is 0.5 / 0.4, a region proposal network 0.7 / 0.3.

    - ``measure``: what stands in the place of the IoU, by name: ``"nwd"``, ``"simd"`` or ``"gcd"``
      for tiny objects (`kedge.anchors.ByNWD` and its kin, with their published constants; they need
      a grid). ``"iou"`` is what the anchors themselves measure.

    Source: Ren et al., arXiv:1506.01497, section 3.1.2; Lin et al., arXiv:1708.02002, section 4.1.
    Deviation: a target that touches no anchor rescues none, where the peers then make *every*
    anchor positive (IoU 0 equals the maximum 0)."""

    positive: float = 0.5
    negative: float = 0.4
    low_quality: LowQuality = "own"
    min_low_quality: float = 0.0
    measure: Measure = "iou"

    def __post_init__(self) -> None:
        if not 0 <= self.negative <= self.positive <= 1 or self.positive == 0:
            raise ValueError(
                "MaxIoU needs 0 <= negative <= positive <= 1 and positive > 0, "
                f"got negative={self.negative}, positive={self.positive}"
            )
        if self.low_quality not in ("own", "rescuer", "none"):
            raise ValueError(f"low_quality is 'own', 'rescuer' or 'none', got {self.low_quality!r}")
        if self.measure != "iou" and self.negative == 0:
            raise ValueError(
                f"MaxIoU(measure={self.measure!r}) needs negative > 0: it is positive everywhere"
            )

    @without_graph
    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; IoU is geometry, so ``predictions`` are not read."""
        del predictions
        if self.measure == "iou":
            return self._assign(anchors, targets)
        similar = measured(anchors, self.measure, "MaxIoU")
        return replace(self._assign(similar, targets), anchors=anchors)

    def _assign(self, anchors: Anchors, targets: Targets) -> Assignment:
        candidates = anchors.overlapping(targets, self.negative)
        best = candidates.best_target_per_anchor(by=candidates.iou())
        enough = best.iou() >= self.positive
        if self.low_quality == "none":
            chosen = best.select(enough)
        else:
            rescued = candidates.best_anchors()
            if self.min_low_quality > 0:
                rescued = rescued.select(rescued.iou() >= self.min_low_quality)
            if self.low_quality == "own":
                chosen = self._with_own_best(rescued, best, enough)
            else:
                rescued = rescued.last_target_per_anchor()
                chosen = best.select(enough).without(rescued).join(rescued)
        return chosen.assignment(ignored=best.anchor[~enough])

    def _with_own_best(self, rescued: Pairs, best: Pairs, enough: Tensor) -> Pairs:
        """Of ``best`` the pairs that are good ``enough`` (P,) or whose anchor is ``rescued``; and
        other rescued anchors with their own best target, found among all that touch them."""
        chosen = best.select(enough | best.shares_anchor(rescued))
        low = rescued.select(rescued.iou() < self.negative)
        if len(low) == 0:  # all are among the candidates
            return chosen
        unknown = low.without(best)
        unknown = unknown.best_target_per_anchor(by=unknown.iou())
        # its own best target has at least the IoU of the one that rescued it
        touching = rescued.anchors.overlapping(rescued.targets, unknown.iou(), among=unknown.anchor)
        return chosen.join(touching.best_target_per_anchor(by=touching.iou()))
