"""OnOneMap: two-stage detectors whose stages both read one map, the end of a backbone's trunk."""

from collections.abc import Sequence

from torch import Tensor

from kedge.anchors import LearnedShapes
from kedge.anchors.presets import preset
from kedge.detectors.levels import Shapes, shared_levels
from kedge.detectors.two_stage import TwoStage
from kedge.nn import Backbone


class OnOneMap(TwoStage):
    """``trunk`` is the backbone, of one map; ``shapes`` None: those of the preset ``published``.

    A subclass makes ``proposals`` and ``regions``.
    """

    published: str

    def __init__(
        self,
        *,
        num_classes: int,
        trunk: Backbone,
        shapes: Sequence[Shapes] | None,
        learn: bool,
        offset: float,
    ) -> None:
        (stride,) = trunk.strides
        if shapes is None:
            shapes = [preset(self.published).levels[0].shapes]
        levels = shared_levels(type(self).__name__, trunk.strides, shapes, offset)
        super().__init__(
            num_classes=num_classes, strides=trunk.strides, multiple=stride, smallest=stride,
            shapes=LearnedShapes(levels, learn=learn),
        )  # fmt: skip
        self.backbone = trunk

    def features(self, images: Tensor) -> list[Tensor]:
        return self.backbone(images)
