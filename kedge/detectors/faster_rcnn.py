"""Faster R-CNN with a feature pyramid: proposals from learned or fixed anchors, then regions."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from torch import Tensor, nn

from kedge.anchors import LearnedShapes
from kedge.anchors.presets import ratio_shapes
from kedge.coders import Coder
from kedge.detectors.backbones import make_backbone
from kedge.detectors.cascade import CascadeHead
from kedge.detectors.levels import Shapes, shared_levels
from kedge.detectors.region_parts import (
    proposal_selection,
    region_head,
    region_proposals,
    region_selection,
)
from kedge.detectors.regions import RegionHead
from kedge.detectors.torchvision_weights.convertible import Convertible
from kedge.detectors.torchvision_weights.faster_rcnn import FasterRCNNConversion
from kedge.detectors.two_stage import TwoStage
from kedge.losses import Loss
from kedge.nn import PoolPyramid, RoIPool, TwoMLP
from kedge.sample import Sampler
from kedge.select import Selection
from kedge.types import Assigner


class FasterRCNN(Convertible, TwoStage):
    """Faster R-CNN with FPN. The box part of Mask R-CNN is this with RoIAlign, the default pool.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        shapes: one list of (w, h) in pixels for each level: the backbone's maps, and one of twice
            the last stride; None: squares of 8 strides at h_over_w 1/2, 1, 2.
        backbone: "tiny" (maps of stride 8, 16, 32), a name of timm's (4, 8, 16, 32), or a module.
        learn: make the shapes parameters; the proposals' box loss reaches them.
        offset: where in its cell an anchor's centre lies.
        pool: features of a region, "roi_align" or "roi_pool".
        width, hidden: channels of the pyramid and of the second stage; 256 and 1,024, with "tiny"
            64 and 128.
        class_specific: a box for every class.
        pretrained: download timm's weights.
        assign, sample, coder, loss: parts of the first stage; ``selection`` of the second. Those of
            ``proposals`` and ``regions`` can be swapped.

    With "tiny" both stages sample fewer boxes, for a CPU: 64 anchors, 48 of 100 proposals.

    Source: Ren et al., arXiv:1506.01497; Lin et al., arXiv:1612.03144; constants of torchvision
    (smooth L1 beta 1/9, sums divided by the whole sample).
    """

    published = "faster_rcnn_fpn"
    conversion = FasterRCNNConversion()

    def __init__(
        self,
        *,
        num_classes: int,
        shapes: Sequence[Shapes] | None = None,
        backbone: str | nn.Module = "tiny",
        learn: bool = False,
        offset: float = 0.0,
        pool: Literal["roi_align", "roi_pool"] = "roi_align",
        width: int | None = None,
        hidden: int | None = None,
        class_specific: bool = True,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        tiny = backbone == "tiny"
        wanted = (8, 16, 32) if tiny else tuple(getattr(backbone, "strides", (4, 8, 16, 32)))
        body = make_backbone(backbone, strides=wanted, pretrained=pretrained)
        strides = (*body.strides, 2 * body.strides[-1])
        if shapes is None:
            shapes = [ratio_shapes([8.0 * s], (0.5, 1.0, 2.0)) for s in strides]
        levels = shared_levels(type(self).__name__, strides, shapes, offset)
        super().__init__(
            num_classes=num_classes, strides=strides, shapes=LearnedShapes(levels, learn=learn),
            multiple=strides[-2], smallest=strides[0],
        )  # fmt: skip
        width = (64 if tiny else 256) if width is None else width
        hidden = (128 if tiny else 1024) if hidden is None else hidden
        first, last = (100, 100) if tiny else (2000, 1000)
        self.backbone, self.pyramid = body, PoolPyramid(body.channels, width)
        self.proposals = region_proposals(
            width, len(shapes[0]), size=64 if tiny else 256,
            training=proposal_selection(max(first, 500), first),
            testing=proposal_selection(max(last, 500), last),
            assign=assign, sample=sample, coder=coder, loss=loss,
        )  # fmt: skip
        codes = 4 * num_classes if class_specific else 4
        self.regions = self._second_stage(
            RoIPool(body.strides, kind=pool, canonical=64.0 if tiny else 224.0),
            partial(TwoMLP, 49 * width, hidden, classes=num_classes + 1, codes=codes),
            size=48 if tiny else 512,
            selection=region_selection() if selection is None else selection,
        )

    def _second_stage(
        self, pool: nn.Module, layers: Callable[[], nn.Module], *, size: int, selection: Selection
    ) -> RegionHead | CascadeHead:
        return region_head(
            pool, layers(), num_classes=self.num_classes, size=size, selection=selection
        )

    def features(self, images: Tensor) -> list[Tensor]:
        return self.pyramid(self.backbone(images))
