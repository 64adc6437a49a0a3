"""YOLOv3: three scales, the best shape of all of them answers, classes that do not compete."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kedge.anchors import preset
from kedge.assign.yolov3 import YOLOv3 as YOLOv3Rule
from kedge.coders import Coder, YOLOv3Coder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.dense import Dense, Maps
from kedge.detectors.levels import Shapes, levels_of
from kedge.losses import CodeSquares, CrossEntropy, DenseLoss, Loss, Objectness, per_image
from kedge.nn import YoloOutput, YoloPyramid
from kedge.sample import Sampler
from kedge.select import NMS, Selection
from kedge.types import Assigner

STRIDES = (8, 16, 32)


class YOLOv3(Dense):
    """YOLOv3 with fixed or learned anchors.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        shapes: one list of (w, h) in pixels for each of the strides 8, 16, 32; None: the published
            nine, three a level.
        backbone: "tiny", "darknet53" (the published one), another of ``BACKBONES``, a name of
            timm's, or a module with maps of stride 8, 16, 32 (``kedge.nn.Backbone``).
        learn: make the shapes parameters.
        scale_only_bn: batch norm without shift on the size outputs (Anchor Box Optimization).
        width: channels of the finest level's neck, doubled at each coarser one; 128, with "tiny"
            32.
        prior: the objectness that the untrained detector gives every anchor.
        pretrained: download timm's weights.
        assign, sample, coder, loss, selection: parts to swap.

    Losses: ``box``, half the squared error of the codes, places after the sigmoid, times 2 - w h;
    ``objectness``, cross-entropy towards 1 at the pairs and 0 elsewhere; ``classification``,
    cross-entropy of every class at the pairs. All are divided by the number of pairs, but at least
    one per image. Shapes learn from ``box`` alone, through log(g / a).

    Source: Redmon and Farhadi, arXiv:1804.02767; darknet ``cfg/yolov3.cfg``. Deviations: darknet
    leaves out the sigmoid's derivative at the places, which makes their loss a cross-entropy:
    ``DenseLoss(box=CellCodes(), ...)`` is that; its untrained objectness is 0.5; its sums are per
    image; ``width`` with "tiny" is ours (darknet's own tiny has two levels). See the strategy's.
    """

    published = "yolov3"

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Shapes] | None = None,
        backbone: str | nn.Module = "tiny",
        learn: bool = False,
        scale_only_bn: bool = False,
        width: int | None = None,
        prior: float = 0.01,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        if shapes is None:
            shapes = [level.shapes for level in preset("yolov3").levels]
        coder = YOLOv3Coder() if coder is None else coder
        super().__init__(
            num_classes=num_classes,
            levels=levels_of("YOLOv3", STRIDES, shapes),
            learn=learn,
            assign=YOLOv3Rule() if assign is None else assign,
            sample=sample,
            coder=coder,
            loss=yolov3_loss() if loss is None else loss,
            selection=Selection(score=0.01, suppress=NMS(threshold=0.45))
            if selection is None
            else selection,
            multiple=32,
        )
        if width is None:
            width = 32 if backbone == "tiny" else 128
        self.backbone = make_backbone(backbone, strides=STRIDES, pretrained=pretrained)
        self.neck = YoloPyramid(self.backbone.channels, (width, 2 * width, 4 * width))
        outputs = self.loss.class_scores.outputs(num_classes)
        self.outputs = nn.ModuleList(
            YoloOutput(
                channels,
                len(level),
                outputs,
                code_size=coder.code_size,
                prior=prior,
                scale_only_bn=scale_only_bn,
            )
            for channels, level in zip(self.neck.channels, shapes)
        )

    def predict_maps(self, images: Tensor) -> Maps:
        maps = self.neck(self.backbone(images))
        levels = [output(x) for output, x in zip(self.outputs, maps)]
        codes, objectness, logits = (torch.cat(parts, 1) for parts in zip(*levels))
        return Maps(logits=logits, codes=codes, branches={"objectness": objectness})


def yolov3_loss() -> DenseLoss:
    """The loss of ``YOLOv3``."""
    return DenseLoss(
        classes=CrossEntropy(), box=CodeSquares(), objectness=Objectness(), normalise=per_image
    )
