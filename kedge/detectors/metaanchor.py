"""MetaAnchor: RetinaNet whose last layers are generated from the anchor shapes themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kedge.anchors import Grid, LearnedShapes
from kedge.anchors.presets import retinanet_shapes
from kedge.assign.max_iou import MaxIoU
from kedge.coders import Coder, DeltaCoder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.dense import Dense, Maps
from kedge.detectors.levels import Shapes, levels_of
from kedge.losses import CodeL1, DenseLoss, Focal, Loss
from kedge.nn import GeneratedSubnet, Pyramid
from kedge.sample import Sampler
from kedge.select import Selection
from kedge.types import Assigner

STRIDES = (8, 16, 32, 64, 128)
REFERENCE = 4.0  # side, in strides, of the box that shapes are written relative to


@dataclass(frozen=True, kw_only=True, eq=False)
class OnShapes(Maps):
    """Outputs at anchors of ``shapes`` (S, 2), drawn for one batch."""

    shapes: Tensor


class MetaAnchor(Dense):
    """RetinaNet whose layers are a function of the anchors: it can be asked about any others.

    In training every batch has shapes of its own, those of the detector times a random factor; in
    evaluation they are as they are, or whatever ``set_priors_`` puts there, in any number.

    Args:
        num_classes, backbone, width, depth, norm, from_c5, prior, offset, pretrained: as in
            ``RetinaNet``.
        shapes: one list of (w, h) in pixels for each of the strides 8, 16, 32, 64, 128, of any
            length; None: RetinaNet's nine.
        learn: make the shapes parameters; the box loss reaches them as in every detector. The
            generated layers read the shapes, but do not teach them.
        noise: standard deviation of the logarithm of the random factor, for each side of each
            shape.
        hidden: units between a shape and its layer; 128, with "tiny" 32.
        assign, sample, coder, loss, selection: parts to swap.

    Source: Yang et al., arXiv:1807.00980. Deviations: how training priors are drawn, ``noise`` and
    ``hidden`` are not in what could be read of the paper and are choices of ours; sides are written
    relative to a square of 4 strides.
    """

    published = "retinanet"

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Shapes] | None = None,
        backbone: str | nn.Module = "tiny",
        learn: bool = False,
        noise: float = 0.1,
        hidden: int | None = None,
        offset: float = 0.0,
        width: int | None = None,
        depth: int = 4,
        norm: bool | None = None,
        from_c5: bool = True,
        prior: float = 0.01,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        if noise < 0:
            raise ValueError(f"noise must not be negative, got {noise}")
        shapes = retinanet_shapes(STRIDES) if shapes is None else shapes
        coder = DeltaCoder() if coder is None else coder
        super().__init__(
            num_classes=num_classes,
            levels=levels_of("MetaAnchor", STRIDES, shapes, offset),
            learn=learn,
            assign=MaxIoU(positive=0.5, negative=0.4) if assign is None else assign,
            sample=sample,
            coder=coder,
            loss=DenseLoss(classes=Focal(), box=CodeL1()) if loss is None else loss,
            selection=Selection() if selection is None else selection,
            multiple=32,
        )
        self.noise = noise
        tiny = backbone == "tiny"
        width = (64 if tiny else 256) if width is None else width
        hidden = (32 if tiny else 128) if hidden is None else hidden
        norm = tiny if norm is None else norm
        outputs = self.loss.class_scores.outputs(num_classes)
        self.backbone = make_backbone(backbone, strides=STRIDES[:3], pretrained=pretrained)
        self.pyramid = Pyramid(self.backbone.channels, width, from_c5=from_c5)
        self.classes = GeneratedSubnet(
            width, outputs, hidden=hidden, depth=depth, prior=prior, norm=norm
        )
        self.boxes = GeneratedSubnet(width, coder.code_size, hidden=hidden, depth=depth, norm=norm)

    def set_priors_(self, shapes: Sequence[Shapes]) -> None:
        """Answers for these ``shapes`` from now on, one list of (w, h) in pixels for each level."""
        assert self.shapes is not None
        offset, learn = self.levels[0].offset, self.shapes.learn
        self.levels = tuple(levels_of("MetaAnchor", STRIDES, shapes, offset))
        device = self.shapes.log_shapes.device
        self.shapes = LearnedShapes(self.levels, learn=learn).to(device)

    def drawn(self) -> Tensor:
        """(S, 2) the shapes of a batch: in training each side times a random factor."""
        assert self.shapes is not None
        logs = self.shapes.log_shapes
        return (logs + self.noise * torch.randn_like(logs)).exp() if self.training else logs.exp()

    def predict_maps(self, images: Tensor) -> OnShapes:
        assert self.shapes is not None
        maps, shapes = self.pyramid(self.backbone(images)), self.drawn()
        counts = [len(level.shapes_tensor()) for level in self.shapes.levels]
        levels = zip(shapes.detach().split(counts), STRIDES)
        priors = [(part / (REFERENCE * stride)).log() for part, stride in levels]
        logits, codes = self.classes(maps, priors), self.boxes(maps, priors)
        return OnShapes(logits=logits, codes=codes, shapes=shapes)

    def anchors_of(self, maps: Maps, image_size: tuple[int, int]) -> Grid:
        """Anchors of the shapes that were drawn."""
        assert isinstance(maps, OnShapes)
        return self.grid(image_size).with_shapes(maps.shapes)
