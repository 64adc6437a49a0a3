"""YOLOv2: one level, the best shape of the object's cell, darknet's squared errors."""

from collections.abc import Sequence

from torch import Tensor, nn

from kedge.anchors import Level, preset
from kedge.assign.best_in_cell import BestInCell
from kedge.coders import Coder, YOLOv2Coder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.dense import Dense, Maps
from kedge.detectors.levels import Shapes, of_one_level
from kedge.losses import Loss, yolov2_loss
from kedge.nn import YoloNeck, YoloOutput
from kedge.sample import Sampler
from kedge.select import NMS, Selection
from kedge.types import Assigner

_STRIDE = {"tiny": 16}  # darknet19 and timm's backbones: 32


class YOLOv2(Dense):
    """YOLOv2 with fixed or learned anchors.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        shapes: (A, 2) anchor shapes (w, h) in pixels of the network's input, or a list of this one
            level's; None: the five published for COCO, in cells.
        backbone: "tiny", "darknet19", a name of timm's, or a module with maps of ``stride / 2`` and
            ``stride`` (``kedge.nn.Backbone``). "tiny" predicts at stride 16, all others at 32.
        stride: step of the predicting map, where it shall be another one.
        learn: make the shapes parameters.
        scale_only_bn: batch norm without shift on the size outputs (Anchor Box Optimization).
        width: channels of the neck; the backbone's coarsest map by default.
        depth: convolutions between backbone and passthrough; 2, with "tiny" 1.
        pretrained: download timm's weights.
        assign, sample, coder, loss, selection: parts to swap; ``yolov2_loss`` makes the loss with
            other weights.

    Source: Redmon and Farhadi, arXiv:1612.08242; darknet ``cfg/yolov2.cfg``. Deviations: see
    ``yolov2_loss``, ``Passthrough`` and ``Darknet19``.
    """

    published = "yolov2_coco"

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Shapes | Sequence[Shapes] | None = None,
        backbone: str | nn.Module = "tiny",
        stride: int | None = None,
        learn: bool = False,
        scale_only_bn: bool = False,
        width: int | None = None,
        depth: int | None = None,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        if stride is None:
            stride = _STRIDE.get(backbone, 32) if isinstance(backbone, str) else 32
        if stride not in (8, 16, 32):
            raise ValueError(f"YOLOv2 predicts at stride 8, 16 or 32, got {stride}")
        if shapes is None:
            shapes = [(w * stride / 32, h * stride / 32) for w, h in preset("yolov2_coco").shapes]
        shapes = of_one_level("YOLOv2", shapes)
        coder = YOLOv2Coder() if coder is None else coder
        super().__init__(
            num_classes=num_classes,
            levels=[Level(stride=stride, shapes=shapes)],
            learn=learn,
            assign=BestInCell() if assign is None else assign,
            sample=sample,
            coder=coder,
            loss=yolov2_loss() if loss is None else loss,
            selection=Selection(score=0.01, suppress=NMS(threshold=0.45))
            if selection is None
            else selection,
            multiple=stride,
        )
        self.backbone = make_backbone(
            backbone, strides=(stride // 2, stride), pretrained=pretrained
        )
        fine, coarse = self.backbone.channels
        if depth is None:
            depth = 1 if backbone == "tiny" else 2
        self.neck = YoloNeck(fine, coarse, coarse if width is None else width, depth=depth)
        self.output = YoloOutput(
            self.neck.channels,
            len(shapes),
            self.loss.class_scores.outputs(num_classes),
            code_size=coder.code_size,
            scale_only_bn=scale_only_bn,
        )

    def predict_maps(self, images: Tensor) -> Maps:
        codes, objectness, logits = self.output(self.neck(self.backbone(images)))
        return Maps(logits=logits, codes=codes, branches={"objectness": objectness})
