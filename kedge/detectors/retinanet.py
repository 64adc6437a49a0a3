"""RetinaNet: a feature pyramid, two subnets, focal loss on every anchor."""

from collections.abc import Sequence

from torch import Tensor, nn

from kedge.anchors.learned import LearnedShapes
from kedge.anchors.level import Level
from kedge.anchors.presets import retinanet_shapes
from kedge.assign.max_iou import MaxIoU
from kedge.coders import DeltaCoder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.base import Detector
from kedge.losses.likelihood import loss_for
from kedge.losses.retinanet import DetectionLoss
from kedge.nn import Pyramid, Subnet
from kedge.select.selection import Selection
from kedge.types import Assigner, Assignment, Coder, Predictions, Targets

STRIDES = (8, 16, 32, 64, 128)


def _levels(
    shapes: Sequence[Sequence[tuple[float, float]] | Tensor] | None, offset: float
) -> list[Level]:
    if shapes is None:
        shapes = retinanet_shapes(STRIDES)
    if len(shapes) != len(STRIDES):
        raise ValueError(
            f"RetinaNet has {len(STRIDES)} levels of stride {STRIDES}, "
            f"got shapes for {len(shapes)}: pass one list of (w, h) per level"
        )
    counts = [len(level) for level in shapes]
    if len(set(counts)) != 1:
        raise ValueError(
            f"RetinaNet's subnets are shared by all levels, so each needs equally many shapes; got "
            f"{counts}"
        )
    return [Level(stride=s, shapes=a, offset=offset) for s, a in zip(STRIDES, shapes)]


class RetinaNet(Detector):
    """RetinaNet with fixed or learned anchors.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        shapes: one (A, 2) list of (w, h) in pixels for each of the strides 8, 16, 32, 64, 128, with
            the same A; None: the published nine (h_over_w 1/2, 1, 2 at three scales).
        backbone: "tiny", "darknet19", a name of timm's ("resnet50"), or a module with maps of
            stride 8, 16, 32 (``kedge.nn.Backbone``).
        learn: make the shapes parameters, level by level.
        offset: where in its cell an anchor's centre lies; 0 as published, 0.5 the middle.
        width: channels of pyramid and subnets; 256, with "tiny" 64.
        depth: convolutions of each subnet.
        norm: group norm in the subnets, needed to train from scratch; on with "tiny" only.
        from_c5: P6 from C5 (the paper) or from P5.
        prior: what the untrained detector says of every class at every anchor.
        pretrained: download timm's weights.
        assign, coder, loss, selection: parts to swap. ``loss`` is by default the one that belongs
            to ``assign``: RetinaNet's, or its published likelihood (``loss_for``).

    Source: Lin et al., arXiv:1708.02002, section 4. Deviations: plain L1 as in torchvision
    (``RetinaNetLoss(box=CodeL1(beta=0.11))`` is the authors').
    """

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Sequence[tuple[float, float]] | Tensor] | None = None,
        backbone: str | nn.Module = "tiny",
        learn: bool = False,
        offset: float = 0.0,
        width: int | None = None,
        depth: int = 4,
        norm: bool | None = None,
        from_c5: bool = True,
        prior: float = 0.01,
        pretrained: bool = False,
        assign: Assigner | None = None,
        coder: Coder | None = None,
        loss: DetectionLoss | None = None,
        selection: Selection | None = None,
    ) -> None:
        levels = _levels(shapes, offset)
        super().__init__(
            num_classes=num_classes,
            anchors=LearnedShapes(levels, learn=learn),
            assign=MaxIoU(positive=0.5, negative=0.4) if assign is None else assign,
            coder=DeltaCoder() if coder is None else coder,
            selection=Selection() if selection is None else selection,
            multiple=32,
            smallest=STRIDES[0],
        )
        self.loss_of = loss_for(self.assign) if loss is None else loss
        tiny = backbone == "tiny"
        width = (64 if tiny else 256) if width is None else width
        norm = tiny if norm is None else norm
        per_cell = len(levels[0].shapes_tensor())
        self.backbone = make_backbone(backbone, strides=STRIDES[:3], pretrained=pretrained)
        self.pyramid = Pyramid(self.backbone.channels, width, from_c5=from_c5)
        self.classes = Subnet(width, per_cell, num_classes, depth=depth, prior=prior, norm=norm)
        self.boxes = Subnet(width, per_cell, 4, depth=depth, norm=norm)

    def predict_maps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        maps = self.pyramid(self.backbone(images))
        return self.classes(maps), self.boxes(maps), None

    def losses(
        self, predictions: Predictions, targets: Targets, assignment: Assignment
    ) -> dict[str, Tensor]:
        """``classification`` and ``box``, or the terms of the strategy's own likelihood."""
        return self.loss_of(predictions, targets, assignment)

    def scores(self, predictions: Predictions) -> Tensor:
        """A sigmoid per class."""
        return predictions.logits.sigmoid()
