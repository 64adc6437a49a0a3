"""MaxIoU: two fixed IoU thresholds, and the low-quality match (Faster R-CNN, RetinaNet, SSD's
peers)."""

from dataclasses import dataclass, replace
from typing import Literal

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
            chosen, ignored = best.split(enough)
            return chosen.assignment(ignored=ignored, apart=True)
        top, low = candidates.best_anchors()
        rescued = self._worth(top if low is None else top.join(low))
        if self.low_quality == "own":
            chosen, ignored = best.split(enough | best.shares_anchor(rescued))
            if low is not None and len(low):
                chosen = chosen.join(self._own_best(self._worth(low).without(best)))
            return chosen.assignment(ignored=ignored, apart=True)
        rescued = rescued.last_target_per_anchor()
        chosen, ignored = best.split(enough)
        return chosen.without(rescued).join(rescued).assignment(ignored=ignored)

    def _worth(self, best: Pairs) -> Pairs:
        """Of the best anchors of some targets those that may rescue one."""
        if self.min_low_quality == 0:
            return best
        return best.select(best.iou() >= self.min_low_quality)

    @staticmethod
    def _own_best(rescued: Pairs) -> Pairs:
        """The anchors of ``rescued`` with their own best target, found among all that touch them:
        it has at least the IoU of the one that rescued it."""
        known = rescued.best_target_per_anchor(by=rescued.iou())
        touching = known.anchors.overlapping(known.targets, known.iou(), among=known.anchor)
        return touching.best_target_per_anchor(by=touching.iou())
