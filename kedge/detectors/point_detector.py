"""PointDetector: FCOS and its heirs, a pyramid whose every cell says one box."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor, nn

from kedge.anchors import Level
from kedge.coders import Coder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.dense import Dense, Maps
from kedge.detectors.levels import Shapes, shared_levels
from kedge.losses import Loss
from kedge.nn import PointHead, Pyramid
from kedge.sample import Sampler
from kedge.select import NMS, Selection
from kedge.types import Assigner, Predictions

STRIDES = (8, 16, 32, 64, 128)


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """What one such detector has by itself.

    ``square``: the side of its anchors in strides, None for points; ``quality``: the name of its
    quality branch, where it has one; ``depth``: convolutions of its head; ``prior``: what the
    untrained detector says of every class; ``start``: what its box outputs say untrained.
    """

    assign: Assigner
    coder: Coder
    loss: Loss
    selection: Selection = field(default_factory=partial(Selection, suppress=NMS(threshold=0.6)))
    square: float | None = None
    quality: str | None = None
    depth: int = 4
    prior: float = 0.01
    start: float = 0.0


class PointDetector(Dense):
    """A backbone, a pyramid of strides 8 to 128, and a head that all levels share.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        shapes: for detectors with anchor boxes one (A, 2) list of (w, h) in pixels for each level,
            with the same A; None: one square of 8 strides a cell.
        backbone: "tiny", "darknet19", a name of timm's ("resnet50"), or a module with maps of
            stride 8, 16, 32 (``kedge.nn.Backbone``).
        learn: make the shapes parameters, level by level.
        offset: where in its cell a point lies; 0.5 the middle, 0 the corner (torchvision).
        width: channels of pyramid and head; 256, with "tiny" 64.
        depth: convolutions of the head, as published by default.
        pretrained: download timm's weights.
        assign, sample, coder, loss, selection: parts to swap.

    Boxes are ranked by the class's probability; with a quality branch by the geometric mean of
    both, except objectness, which multiplies.

    A subclass defines ``parts``, and ``make_layers`` and ``predict_maps`` where its head is another
    one.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Shapes] | None = None,
        backbone: str | nn.Module = "tiny",
        learn: bool = False,
        offset: float = 0.5,
        width: int | None = None,
        depth: int | None = None,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        own = self.parts(num_classes)
        super().__init__(
            num_classes=num_classes,
            levels=self._levels(own.square, shapes, offset),
            learn=learn,
            assign=own.assign if assign is None else assign,
            sample=sample,
            coder=own.coder if coder is None else coder,
            loss=own.loss if loss is None else loss,
            selection=own.selection if selection is None else selection,
            multiple=32,
        )
        width = (64 if backbone == "tiny" else 256) if width is None else width
        self.quality = own.quality
        self.backbone = make_backbone(backbone, strides=STRIDES[:3], pretrained=pretrained)
        self.pyramid = Pyramid(self.backbone.channels, width, from_c5=False)
        self.layers = self.make_layers(own, width, own.depth if depth is None else depth)

    @classmethod
    @abstractmethod
    def parts(cls, num_classes: int) -> Parts:
        """Its own parts, for so many classes."""

    def _levels(
        self, square: float | None, shapes: Sequence[Shapes] | None, offset: float
    ) -> list[Level]:
        name = type(self).__name__
        if square is None:
            if shapes is not None:
                raise ValueError(f"shapes: {name} answers at points, which have none")
            return [Level(stride=stride, offset=offset) for stride in STRIDES]
        if shapes is None:
            shapes = [[(square * stride, square * stride)] for stride in STRIDES]
        return shared_levels(name, STRIDES, shapes, offset)

    def make_layers(self, own: Parts, width: int, depth: int) -> nn.Module:
        """The head, for the parts that the detector has now."""
        return PointHead(
            width,
            levels=len(STRIDES),
            outputs=self.outputs,
            code_size=self.coder.code_size,
            shapes=len(self.levels[0].shapes_tensor()),
            depth=depth,
            quality=own.quality is not None,
            prior=own.prior,
            start=own.start if self.coder == own.coder else 0.0,
        )

    def check_coder(self, own: Parts) -> None:
        """``ValueError`` for another coder than its own, where the head itself works on boxes."""
        if self.coder != own.coder:
            raise ValueError(
                f"coder: the head of {type(self).__name__} works on boxes itself and says them as "
                f"{own.coder} reads them: leave coder= out"
            )

    @property
    def outputs(self) -> int:
        """Columns of the class outputs."""
        return self.loss.class_scores.outputs(self.num_classes)

    def predict_maps(self, images: Tensor) -> Maps:
        logits, codes, quality = self.layers(self.pyramid(self.backbone(images)))
        branches = {} if self.quality is None else {self.quality: quality}
        return Maps(logits=logits, codes=codes, branches=branches)

    def scores(self, predictions: Predictions) -> Tensor:
        scores = super().scores(predictions)
        if self.quality in (None, "objectness"):
            return scores
        return (scores * predictions.branch(self.quality).sigmoid()[:, None]).sqrt()
