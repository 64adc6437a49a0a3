"""The sliding window: a classifier at every place of an image pyramid, and boxes as they stand."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from kedge.anchors.presets import ratio_shapes
from kedge.assign.max_iou import MaxIoU
from kedge.coders import Fixed
from kedge.detectors.backbones import make_backbone
from kedge.detectors.dense import Dense, Maps
from kedge.detectors.levels import Shapes, shared_levels
from kedge.losses import DenseLoss, Focal, Loss
from kedge.nn import Subnet
from kedge.sample import Sampler
from kedge.select import NMS, Selection
from kedge.types import Assigner


class SlidingWindowDetector(Dense):
    """Windows slide over the image, over the image at half its size, and so on; each is classified.

    The windows are the anchors: a level for each size of the image, whose stride is the step and
    whose shapes are the windows, both in pixels of the original image. The classifier is a network
    run convolutionally, the same one on every size. A window that is taken for an object is the box
    (coder ``Fixed``), so that a box is never better than the best window.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        shapes: one list of windows (w, h) in pixels for each size of the image, finest first;
            None: of four steps a side at h_over_w 1/2, 1, 2.
        backbone: "tiny" (a step of 8 pixels), a name of timm's or a module with one map of stride
            16.
        octaves: sizes of the image.
        offset: where in its cell a window's centre lies.
        depth: convolutions above the backbone.
        prior: what the untrained classifier says of every class of every window.
        pretrained: download timm's weights.
        assign, sample, loss, selection: parts to swap.

    Source: Sermanet et al., arXiv:1312.6229 (the classifier run convolutionally), without its box
    regression; focal loss in place of mined negatives (arXiv:1708.02002).
    """

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Shapes] | None = None,
        backbone: str | nn.Module = "tiny",
        octaves: int = 3,
        offset: float = 0.5,
        depth: int = 2,
        prior: float = 0.01,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        if octaves < 1:
            raise ValueError(f"octaves must be at least 1, got {octaves}")
        wanted = (8,) if backbone == "tiny" else (16,)
        body = make_backbone(backbone, strides=wanted, pretrained=pretrained)
        strides = [wanted[0] * 2**octave for octave in range(octaves)]
        if shapes is None:
            shapes = [ratio_shapes([4.0 * s], (0.5, 1.0, 2.0)) for s in strides]
        loss = DenseLoss(classes=Focal()) if loss is None else loss
        super().__init__(
            num_classes=num_classes,
            levels=shared_levels("SlidingWindowDetector", strides, shapes, offset),
            assign=MaxIoU(positive=0.5, negative=0.4) if assign is None else assign,
            sample=sample,
            coder=Fixed(),
            loss=loss,
            selection=Selection(suppress=NMS(threshold=0.3)) if selection is None else selection,
            multiple=strides[-1],
        )
        self.backbone, self.octaves = body, octaves
        self.classifier = Subnet(
            body.channels[0], len(shapes[0]), loss.class_scores.outputs(num_classes), depth=depth,
            prior=prior, norm=True,
        )  # fmt: skip

    def predict_maps(self, images: Tensor) -> Maps:
        maps = []
        for octave in range(self.octaves):
            maps += self.backbone(images if octave == 0 else F.avg_pool2d(images, 2**octave))
        logits = self.classifier(maps)
        return Maps(logits=logits, codes=logits[..., :0])
