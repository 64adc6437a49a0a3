"""RetinaNet: a feature pyramid, two subnets, focal loss on every anchor."""

from collections.abc import Sequence

from torch import Tensor, nn

from kedge.anchors.presets import retinanet_shapes
from kedge.assign.max_iou import MaxIoU
from kedge.coders import Coder, DeltaCoder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.dense import Dense, Maps
from kedge.detectors.levels import Shapes, shared_levels
from kedge.detectors.torchvision_weights.convertible import Convertible
from kedge.detectors.torchvision_weights.retinanet import RetinaNetConversion
from kedge.losses import CodeL1, DenseLoss, Focal, Loss
from kedge.nn import Pyramid, Schedule, Subnet, depress, depression_ratio
from kedge.sample import Sampler
from kedge.select import Selection
from kedge.types import Assigner

STRIDES = (8, 16, 32, 64, 128)


class RetinaNet(Convertible, Dense):
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
        depression: in training hide a share of the features, as MAL does: its schedule over the
            training, "steps" as published; None: never.
        assign, sample, coder, loss, selection: parts to swap.

    The loss is focal on every anchor that is not ignored, and plain L1 on the codes of the pairs;
    both sums are divided by the sum of the pairs' weights over the batch, at least 1.

    Source: Lin et al., arXiv:1708.02002, section 4. Deviations: plain L1 as in torchvision
    (``DenseLoss(box=CodeL1(beta=0.11))`` is the authors'); torchvision divides per image by max(1,
    positives) and averages over images, Detectron2 by a running mean: for one image the three
    agree, but for the running mean.
    """

    published = "retinanet"
    conversion = RetinaNetConversion()

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Shapes] | None = None,
        backbone: str | nn.Module = "tiny",
        learn: bool = False,
        offset: float = 0.0,
        width: int | None = None,
        depth: int = 4,
        norm: bool | None = None,
        from_c5: bool = True,
        prior: float = 0.01,
        pretrained: bool = False,
        depression: Schedule | None = None,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        shapes = retinanet_shapes(STRIDES) if shapes is None else shapes
        levels = shared_levels("RetinaNet", STRIDES, shapes, offset)
        coder = DeltaCoder() if coder is None else coder
        super().__init__(
            num_classes=num_classes,
            levels=levels,
            learn=learn,
            assign=MaxIoU(positive=0.5, negative=0.4) if assign is None else assign,
            sample=sample,
            coder=coder,
            loss=DenseLoss(classes=Focal(), box=CodeL1()) if loss is None else loss,
            selection=Selection() if selection is None else selection,
            multiple=32,
        )
        self.depression: Schedule | None = depression
        tiny = backbone == "tiny"
        width = (64 if tiny else 256) if width is None else width
        norm = tiny if norm is None else norm
        per_cell = len(levels[0].shapes_tensor())
        outputs = self.loss.class_scores.outputs(num_classes)
        self.backbone = make_backbone(backbone, strides=STRIDES[:3], pretrained=pretrained)
        self.pyramid = Pyramid(self.backbone.channels, width, from_c5=from_c5)
        self.classes = Subnet(width, per_cell, outputs, depth=depth, prior=prior, norm=norm)
        self.boxes = Subnet(width, per_cell, coder.code_size, depth=depth, norm=norm)

    def predict_maps(self, images: Tensor) -> Maps:
        maps = self.pyramid(self.backbone(images))
        if self.training and self.depression is not None:
            ratio = depression_ratio(self.progress, self.depression)
            maps = [depress(features, ratio) for features in maps]
        return Maps(logits=self.classes(maps), codes=self.boxes(maps))
