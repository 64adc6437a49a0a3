"""FinestMap: one map of a backbone that knows what all of its maps know."""

from torch import Tensor, nn
from torch.nn import functional as F

from kedge.nn.backbone import Backbone
from kedge.nn.blocks import conv_norm


class FinestMap(nn.Module):
    """Images to the finest map of a feature pyramid on the backbone's, ``width`` channels wide: a
    list of one, as ``HourglassNet`` gives several.

    Source: Lin et al., arXiv:1612.03144, with batch norm.
    """

    def __init__(self, body: Backbone, width: int) -> None:
        super().__init__()
        self.strides, self.channels = (body.strides[0],), (width,)
        self.body = body
        self.beside = nn.ModuleList(
            conv_norm(wide, width, kernel=1, relu=False) for wide in body.channels
        )
        self.output = conv_norm(width, width)

    def forward(self, images: Tensor) -> list[Tensor]:
        *finer, x = (layer(x) for layer, x in zip(self.beside, self.body(images)))
        for beside in reversed(finer):
            x = beside + F.interpolate(x, size=beside.shape[2:])
        return [self.output(x)]
