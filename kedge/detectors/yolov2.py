"""YOLOv2: one level, the best shape of the object's cell, darknet's squared errors."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kedge.anchors.learned import LearnedShapes
from kedge.anchors.level import Level
from kedge.assign.best_in_cell import BestInCell
from kedge.coders import YOLOv2Coder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.base import Detector
from kedge.losses.yolov2 import YOLOv2Loss, yolov2_loss
from kedge.nn import YoloNeck, YoloOutput
from kedge.select.selection import Selection
from kedge.types import Assigner, Assignment, Coder, Predictions, Targets

_STRIDE = {"tiny": 16}  # darknet19 and timm's backbones: 32


class YOLOv2(Detector):
    """YOLOv2 with fixed or learned anchors.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        shapes: (A, 2) anchor shapes (w, h) in pixels of the network's input.
        backbone: "tiny", "darknet19", a name of timm's, or a module with maps of ``stride / 2`` and
            ``stride`` (``kedge.nn.Backbone``). "tiny" predicts at stride 16, all others at 32.
        stride: step of the predicting map, where it shall be another one.
        learn: make the shapes parameters.
        scale_only_bn: batch norm without shift on the size outputs (Anchor Box Optimization).
        width: channels of the neck; the backbone's coarsest map by default.
        depth: convolutions between backbone and passthrough; 2, with "tiny" 1.
        pretrained: download timm's weights.
        assign, coder, loss, selection: parts to swap. ``loss`` holds the weights of the terms.

    Source: Redmon and Farhadi, arXiv:1612.08242; darknet ``cfg/yolov2.cfg``. Deviations: see
    ``yolov2_loss``, ``Passthrough`` and ``Darknet19``.
    """

    images_seen: Tensor

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[tuple[float, float]] | Tensor,
        backbone: str | nn.Module = "tiny",
        stride: int | None = None,
        learn: bool = False,
        scale_only_bn: bool = False,
        width: int | None = None,
        depth: int | None = None,
        pretrained: bool = False,
        assign: Assigner | None = None,
        coder: Coder | None = None,
        loss: YOLOv2Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        if stride is None:
            stride = _STRIDE.get(backbone, 32) if isinstance(backbone, str) else 32
        super().__init__(
            num_classes=num_classes,
            anchors=LearnedShapes([Level(stride=stride, shapes=shapes)], learn=learn),
            assign=BestInCell() if assign is None else assign,
            coder=YOLOv2Coder() if coder is None else coder,
            selection=Selection(score=0.01, nms=0.45) if selection is None else selection,
            multiple=stride,
            smallest=stride,
        )
        self.settings = YOLOv2Loss() if loss is None else loss
        self.backbone = make_backbone(
            backbone, strides=(stride // 2, stride), pretrained=pretrained
        )
        fine, coarse = self.backbone.channels
        if depth is None:
            depth = 1 if backbone == "tiny" else 2
        self.neck = YoloNeck(fine, coarse, coarse if width is None else width, depth=depth)
        self.output = YoloOutput(
            self.neck.channels, len(shapes), num_classes, scale_only_bn=scale_only_bn
        )
        self.register_buffer("images_seen", torch.zeros((), dtype=torch.int64))

    def predict_maps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        codes, objectness, logits = self.output(self.neck(self.backbone(images)))
        return logits, codes, objectness

    def losses(
        self, predictions: Predictions, targets: Targets, assignment: Assignment
    ) -> dict[str, Tensor]:
        """``box``, ``objectness``, ``classification``; ``pull`` too while that is on."""
        pull = self.settings.pull_images > 0 and int(self.images_seen) < self.settings.pull_images
        if self.training:
            self.images_seen += targets.batch_size
        return yolov2_loss(predictions, targets, assignment, self.settings, pull=pull)

    def scores(self, predictions: Predictions) -> Tensor:
        """Objectness times class probability."""
        objectness = predictions.objectness
        assert objectness is not None, "YOLOv2 predicts objectness"
        classes = self.settings.class_scores.probability(predictions.logits)
        return objectness.sigmoid()[..., None] * classes
