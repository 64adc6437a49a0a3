"""MultiBox: detectors of the SSD family, with output layers of their own on every level."""

from collections.abc import Sequence

from torch import Tensor

from kedge.anchors import Level
from kedge.assign.ssd_match import SSDMatch
from kedge.coders import Coder, DeltaCoder
from kedge.detectors.dense import Dense, Maps
from kedge.detectors.images import check_side
from kedge.losses import Loss, multibox_loss
from kedge.nn import Extended, MultiBoxHead
from kedge.sample import HardNegatives, Sampler
from kedge.select import Selection
from kedge.types import Assigner


class MultiBox(Dense):
    """SSD's parts on the maps of ``body``, one for each of ``levels``.

    ``side``: of the square images that the maps of ``body`` are made for; None: any will do.
    ``lite``: separable output layers. The other parts are SSD's where they are None.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        levels: Sequence[Level],
        body: Extended,
        selection: Selection,
        side: int | None = None,
        lite: bool = False,
        learn: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            levels=levels,
            learn=learn,
            assign=SSDMatch() if assign is None else assign,
            sample=HardNegatives() if sample is None else sample,
            coder=DeltaCoder(stds=(0.1, 0.1, 0.2, 0.2)) if coder is None else coder,
            loss=multibox_loss() if loss is None else loss,
            selection=selection,
            multiple=32 if side is None else side,
        )
        self.side = side
        self.backbone = body
        self.output = MultiBoxHead(
            body.channels,
            [len(level.shapes_tensor()) for level in levels],
            classes=self.loss.class_scores.outputs(num_classes),
            codes=self.coder.code_size,
            lite=lite,
        )

    def predict_maps(self, images: Tensor) -> Maps:
        check_side(images, self.side)
        logits, codes = self.output(self.backbone(images))
        return Maps(logits=logits, codes=codes)
