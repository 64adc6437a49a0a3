"""YOLOv1: cells that each name one class and some boxes, sums of squares."""

from torch import Tensor, nn

from kedge.anchors import Level
from kedge.assign.best_prediction_in_cell import BestPredictionInCell
from kedge.coders import Coder, RootCoder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.dense import Dense, Maps
from kedge.losses import CodeSquares, DenseLoss, Loss, Objectness, Squares, per_image
from kedge.losses.objectness import linear
from kedge.nn import CellOutput
from kedge.nn.blocks import conv_bn
from kedge.sample import Sampler
from kedge.select import NMS, Selection
from kedge.types import Assigner, Predictions


class YOLOv1(Dense):
    """YOLOv1, without anchor boxes.

    Every cell has ``boxes`` predictors, each a level of points of its own, and one set of classes.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        backbone: "tiny", "darknet24" (the published one), another of ``BACKBONES``, a name of
            timm's, or a module with a map of ``stride`` (``kedge.nn.Backbone``).
        stride: side of a cell in pixels: 64 as published (7 x 7 cells at 448 px) with "darknet24",
            16 with "tiny", else 32.
        boxes: predictors a cell; 2 as in the paper.
        width: channels of the last 3 x 3 convolution; 256, with "tiny" 128.
        pretrained: download timm's weights.
        assign, sample, coder, loss, selection: parts to swap.

    All outputs are linear. Losses, half squared errors: ``box`` of (x, y, sqrt w, sqrt h), times 5;
    ``objectness`` of the branch "confidence" towards the IoU of the pair's predicted box, and
    towards 0, times 0.5, everywhere else; ``classification`` at the pairs. All are divided by the
    number of pairs, but at least one per image.

    Source: Redmon et al., arXiv:1506.02640; darknet ``cfg/yolov1.cfg``, ``src/detection_layer.c``.
    Deviations: the network is convolutional to its end, so that it takes images of any size, where
    the paper has two fully connected layers; see ``RootCoder`` and ``BestPredictionInCell``;
    darknet's sums are per image. The thresholds of the selection are ours.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: str | nn.Module = "tiny",
        stride: int | None = None,
        boxes: int = 2,
        width: int | None = None,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        if boxes < 1:
            raise ValueError(f"YOLOv1.boxes must be at least 1, got {boxes}")
        if stride is None:
            own = {"tiny": 16, "darknet24": 64}
            stride = own.get(backbone, 32) if isinstance(backbone, str) else 32
        coder = RootCoder() if coder is None else coder
        super().__init__(
            num_classes=num_classes,
            levels=[Level(stride=stride) for _ in range(boxes)],
            assign=BestPredictionInCell() if assign is None else assign,
            sample=sample,
            coder=coder,
            loss=yolov1_loss() if loss is None else loss,
            selection=Selection(score=0.01, suppress=NMS(threshold=0.5))
            if selection is None
            else selection,
            multiple=stride,
        )
        if width is None:
            width = 128 if backbone == "tiny" else 256
        self.backbone = make_backbone(backbone, strides=(stride,), pretrained=pretrained)
        self.neck = conv_bn(self.backbone.channels[0], width)
        outputs = self.loss.class_scores.outputs(num_classes)
        self.output = CellOutput(width, boxes, outputs, code_size=coder.code_size)

    def predict_maps(self, images: Tensor) -> Maps:
        (deepest,) = self.backbone(images)
        logits, codes, confidence = self.output(self.neck(deepest))
        return Maps(logits=logits, codes=codes, branches={"confidence": confidence})

    def scores(self, predictions: Predictions) -> Tensor:
        """(M, C) in [0, 1]: class probability times confidence, both as they are."""
        scores = predictions.classes.probability(predictions.class_rows)
        return scores * predictions.branch("confidence").clamp(0, 1)[:, None]


def yolov1_loss() -> DenseLoss:
    """The loss of ``YOLOv1``."""
    return DenseLoss(
        classes=Squares(),
        box=CodeSquares(by_size=False),
        objectness=Objectness(background=0.5, rescore=True, confidence=linear, branch="confidence"),
        normalise=per_image,
        box_weight=5.0,
    )
