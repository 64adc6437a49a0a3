"""Boxes as distances to four sides, read from other cells: TOOD's and DW's refinement."""

import torch
from torch import Tensor
from torchvision.ops import deform_conv2d

from kedge.boxes import at_least_float32
from kedge.nn.blocks import output
from kedge.nn.point_head import PointHead


def sides_from(sides: Tensor, offsets: Tensor) -> Tensor:
    """(B, 4, H, W) the sides of every cell's box, each as said at another place of the map.

    ``sides`` (B, 4, H, W): distances left, top, right, bottom in cells. ``offsets`` (B, 8, H, W):
    dy, dx in cells, for each side, of the place whose word for it is taken; between cells
    bilinearly. Beyond the map a distance is 0: the side lies at that very place.

    Source: Feng et al., arXiv:2108.07755 (TOOD), section 3.1, eq. 8. Deviation: MMDetection reads
    positions of sides, which beyond the map are 0, the corner of the image.
    """
    sides, offsets = at_least_float32(sides, offsets)
    with torch.autocast(sides.device.type, enabled=False):
        said = deform_conv2d(sides, offsets, sides.new_ones(4, 1, 1, 1))
    dy, dx = offsets.unflatten(1, (4, 2)).unbind(2)
    left, top, right, bottom = said.unbind(1)
    return torch.stack(
        [left - dx[:, 0], top - dy[:, 1], right + dx[:, 2], bottom + dy[:, 3]], dim=1
    )


class RefinedPointHead(PointHead):
    """A ``PointHead`` whose boxes ask near their own sides where these are.

    Every box (left, top, right, bottom in cells, cut at 0) reads each side again at a learned
    offset from the middle of that side. One shape, four numbers a box.

    Source: Li et al., arXiv:2203.09730 (DW), section 3.4; the authors' code.
    """

    def __init__(self, width: int, *, levels: int, outputs: int, depth: int = 4,
                 prior: float = 0.01, start: float = 0.0) -> None:  # fmt: skip
        super().__init__(
            width, levels=levels, outputs=outputs, depth=depth, prior=prior, start=start
        )
        self.offsets = output(width, 8)

    def box_maps(self, features: Tensor, scale: Tensor) -> Tensor:
        sides = super().box_maps(features, scale).relu()
        left, top, right, bottom = sides.unbind(1)
        still = torch.zeros_like(left)
        middles = [still, -left, -top, still, still, right, bottom, still]
        return sides_from(sides, self.offsets(features) + torch.stack(middles, dim=1))
