"""The seams of torchvision's dense detectors: RetinaNet and FCOS."""

from typing import Any

from torch import Tensor
from torchvision.models.detection import FCOS, RetinaNet

from kedge.anchors.recognise import ListedGrid
from kedge.assign.fcos import FCOS as FCOSRule
from kedge.coders.ltrb import LTRBCoder
from kedge.detectors.stage import Stage
from kedge.interop.torchvision.seam import Seam, delta_coder_of, pack
from kedge.losses import Loss
from kedge.sample import All, Sampler
from kedge.types import Predictions, Targets

Losses = dict[str, Tensor]


class RetinaNetLoss(Seam):
    """``RetinaNet.compute_loss``: torchvision's head loses what Kedge matched."""

    peer = RetinaNet
    method = "compute_loss"
    arguments = ("targets", "head_outputs", "anchors")
    table = 200_000

    def __call__(self, targets: list[Any], head_outputs: Losses, anchors: list[Tensor]) -> Losses:
        if self.few([t["boxes"] for t in targets], anchors):
            return self.theirs(targets, head_outputs, anchors)
        predictions = Predictions.from_dense(
            head_outputs["cls_logits"],
            head_outputs["bbox_regression"],
            self.anchors(anchors[0]),
            delta_coder_of(self.module.head.regression_head.box_coder),
        )
        if self.loss is not None:
            return kedge_losses(self, self.loss, predictions, pack(targets))
        found = self.assign(predictions, pack(targets))
        return self.module.head.compute_loss(targets, head_outputs, anchors, list(found.dense()))


class PointGrid(ListedGrid):
    """Points whose stride is the side of the point's box, as torchvision's FCOS has it, whatever
    the step from cell to cell."""

    def stride(self, rows: Tensor | None = None) -> Tensor:
        return self.shape_of(rows)

    def level_strides(self) -> Tensor:
        return self.shapes


class FCOSLoss(Seam):
    """``FCOS.compute_loss``. The ranges of the levels are 4 to 8 sides of the point's box.

    Of several objects the smallest takes the point; torchvision's key, ``1e8 - area`` in single
    precision, cannot tell areas within 8 px^2 apart and takes the first of them.
    """

    peer = FCOS
    method = "compute_loss"
    arguments = ("targets", "head_outputs", "anchors", "num_anchors_per_level")
    carries = frozenset()
    kind = PointGrid
    table = 80_000

    def own_rule(self) -> FCOSRule:
        return FCOSRule(centre_radius=self.module.center_sampling_radius, strict=True)

    def __call__(
        self,
        targets: list[Any],
        head_outputs: Losses,
        anchors: list[Tensor],
        num_anchors_per_level: list[int],
    ) -> Losses:
        if self.few([t["boxes"] for t in targets], anchors):
            return self.theirs(targets, head_outputs, anchors, num_anchors_per_level)
        points = self.anchors(anchors[0], num_anchors_per_level)
        if not isinstance(points, ListedGrid):
            if self.own and self.loss is None:  # rounded points: its own arithmetic alone is equal
                return self.theirs(targets, head_outputs, anchors, num_anchors_per_level)
            raise ValueError(
                "FCOS: in half precision torchvision rounds the points off their cells; with a "
                "strategy or Kedge's loss train without autocast"
            )
        predictions = Predictions.from_dense(
            head_outputs["cls_logits"],
            head_outputs["bbox_regression"],
            points,
            LTRBCoder(activation="none"),  # the head has clipped them already
            centreness=head_outputs["bbox_ctrness"].squeeze(2),
        )
        if self.loss is not None:
            return kedge_losses(self, self.loss, predictions, pack(targets))
        found = self.assign(predictions, pack(targets))
        return self.module.head.compute_loss(targets, head_outputs, anchors, list(found.dense()))


NAMES = {"box": "bbox_regression", "quality": "bbox_ctrness"}  # torchvision's words


def kedge_losses(
    seam: Seam,
    loss: Loss,
    predictions: Predictions,
    targets: Targets,
    sample: Sampler | None = None,
) -> Losses:
    """Kedge's losses of a batch, by torchvision's names."""
    found = seam.assign(predictions, targets)  # the strategy as it is given, not by progress
    stage = Stage(assign=seam.rule, loss=loss, sample=All() if sample is None else sample)
    losses = stage.lose(predictions, found).losses
    return {NAMES.get(name, name): value for name, value in losses.items()}
