"""YOLOv2's passthrough: fine features folded into the channels of a coarser map."""

import torch
from torch import Tensor, nn

from kedge.nn.blocks import conv_bn


class Passthrough(nn.Module):
    """Folds every ``factor`` x ``factor`` block of a fine map into channels of a coarse map.

    The fine map is squeezed to ``squeezed`` channels first. (B, fine, f H, f W) and (B, coarse, H,
    W) -> (B, squeezed f^2 + coarse, H, W). A fine map whose side is no multiple of the factor is
    padded with zeros at the right and the bottom.

    Source: arXiv:1612.08242, section 2 (fine-grained features); darknet ``cfg/yolov2.cfg``: 1 x 1 x
    64, reorg 2.
    Deviation: darknet's reorg scrambles space and channels (its index arithmetic assumes the other
    direction); this is ``pixel_unshuffle``, so darknet's weights of the following layer do not fit
    without a permutation.
    """

    def __init__(self, fine: int, *, squeezed: int = 64, factor: int = 2) -> None:
        super().__init__()
        self.squeeze = conv_bn(fine, squeezed, kernel=1)
        self.factor = factor
        self.extra = squeezed * factor**2

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        rows, columns = (self.factor * side for side in coarse.shape[-2:])
        down, right = rows - fine.shape[-2], columns - fine.shape[-1]
        if not (0 <= down < self.factor and 0 <= right < self.factor):
            raise ValueError(
                f"passthrough folds {self.factor} x {self.factor}: "
                f"a map of {tuple(fine.shape[-2:])} does not fold into one of "
                f"{tuple(coarse.shape[-2:])}"
            )
        fine = self.squeeze(fine)
        if down or right:
            fine = nn.functional.pad(fine, (0, right, 0, down))
        return torch.cat([nn.functional.pixel_unshuffle(fine, self.factor), coarse], 1)
