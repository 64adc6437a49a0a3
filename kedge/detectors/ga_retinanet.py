"""GA-RetinaNet: RetinaNet on anchors that every cell predicts for itself."""

from collections.abc import Sequence

from torch import Tensor, nn

from kedge.anchors import Boxes
from kedge.anchors.presets import retinanet_shapes
from kedge.assign.max_iou import MaxIoU
from kedge.coders import Coder, DeltaCoder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.dense import Dense, Maps
from kedge.detectors.guidance import Guidance
from kedge.detectors.images import check_labels
from kedge.detectors.levels import Shapes, shared_levels
from kedge.detectors.stage import Outcome, Stage
from kedge.losses import CodeL1, DenseLoss, Focal, Loss
from kedge.nn import GuidedSubnets, Pyramid
from kedge.sample import Sampler
from kedge.select import Selection
from kedge.types import Assigner, Predictions, Targets

STRIDES = (8, 16, 32, 64, 128)


class GARetinaNet(Dense):
    """RetinaNet with guided anchors: one a cell, whose shape and whose worth are predicted.

    The class and box losses are those of the anchors as they are predicted, which get no gradient
    from them; ``location`` and ``shape`` are what the anchors learn by. The doctor looks at
    ``shapes`` and ``rule``: which cells can learn an anchor for which object.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        shapes: one list of (w, h) in pixels for each of the strides 8, 16, 32, 64, 128, equally
            many: the shapes by which it is found out which cells can hold an object's anchor; no
            anchors. None: RetinaNet's nine.
        backbone, width, depth, norm, from_c5, prior, pretrained, offset: as in ``RetinaNet``.
        square: side in strides of the squares that anchors grow from.
        assign, sample, coder, loss, selection: parts to swap; a strategy works on lists of boxes
            here, so that one that needs cells is refused. ``guidance`` holds those of the anchors.

    Source: Wang et al., arXiv:1901.03278; constants of MMDetection (smooth L1 with beta .04, IoU .5
    with every object's best anchors, no anchor ignored). Where no cell is likely enough to have an
    anchor nothing is found; MMDetection raises.
    """

    published = "retinanet"
    predicts_anchors = True

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Shapes] | None = None,
        backbone: str | nn.Module = "tiny",
        offset: float = 0.0,
        square: float = 4.0,
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
        shapes = retinanet_shapes(STRIDES) if shapes is None else shapes
        coder = DeltaCoder() if coder is None else coder
        best = MaxIoU(positive=0.5, negative=0.5, low_quality="rescuer")
        super().__init__(
            num_classes=num_classes,
            levels=shared_levels("GARetinaNet", STRIDES, shapes, offset),
            assign=best if assign is None else assign,
            sample=sample,
            coder=coder,
            loss=DenseLoss(classes=Focal(), box=CodeL1(beta=0.04)) if loss is None else loss,
            selection=Selection() if selection is None else selection,
            multiple=32,
        )
        near = MaxIoU(positive=0.5, negative=0.4, low_quality="rescuer", min_low_quality=0.4)
        self.guidance = Guidance(square=square, assign=near)
        tiny = backbone == "tiny"
        width = (64 if tiny else 256) if width is None else width
        self.backbone = make_backbone(backbone, strides=STRIDES[:3], pretrained=pretrained)
        self.pyramid = Pyramid(self.backbone.channels, width, from_c5=from_c5)
        self.layers = GuidedSubnets(
            width, self.loss.class_scores.outputs(num_classes), code_size=coder.code_size,
            depth=depth, norm=tiny if norm is None else norm, prior=prior,
        )  # fmt: skip

    def predict_maps(self, images: Tensor) -> Maps:
        said = self.layers(self.pyramid(self.backbone(images)))
        branches = {"shape": said.shape, "location": said.location}
        return Maps(logits=said.logits, codes=said.codes, branches=branches)

    def anchors_of(self, maps: Maps, image_size: tuple[int, int]) -> Boxes:
        """The anchors that the cells of images (H, W) predict."""
        return self.guidance.anchors(self.grid(image_size), maps.branches["shape"])

    @property
    def rule(self) -> Assigner:
        """Which cell, by its best shape of ``shapes``, learns an anchor for which object."""
        return self.guidance.assign

    @property
    def first_coder(self) -> Coder:
        """How an anchor's shape is written relative to its square."""
        return self.guidance.coder

    def scores(self, predictions: Predictions) -> Tensor:
        """(M, C) in [0, 1]; minus infinity where no anchor is likely."""
        likely = self.guidance.likely(predictions)
        return super().scores(predictions).masked_fill(~likely[:, None], -float("inf"))

    def heat_maps(self, images: Tensor) -> dict[str, Tensor]:
        """Where anchors are wanted, level by level."""
        assert self.shapes is not None
        return self.guidance.location_maps(self.shapes, self.head(images))

    def losses(
        self,
        images: Tensor,
        targets: Targets,
        *,
        sizes: Tensor | None = None,
        assign: Assigner | None = None,
    ) -> Outcome:
        """The losses of anchors and of what stands on them: see ``Detector``."""
        del sizes  # anchors stand in the padding too; nothing there answers
        check_labels(targets, self.num_classes)
        said = self.head(images)
        outcome = Stage.of(self, self.progress, assign)(said, targets)
        assert self.shapes is not None
        guided = self.guidance.losses(self.shapes, said, targets)
        return outcome._replace(losses=outcome.losses | guided)
