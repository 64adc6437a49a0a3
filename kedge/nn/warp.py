"""Warp: pieces of the image itself, each squeezed or stretched to one size."""

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from kedge.boxes import centres, sizes


class Warp(nn.Module):
    """Crops (R, 3, size, size) of boxes (R, 4) of images (R,), whatever the boxes' aspect ratio.

    ``context`` pixels of the crop on every side show what is around the box. What lies outside of
    the image is ``grey``. Crops are sampled bilinearly, a mean of ``sampling`` x ``sampling``
    points a pixel.

    Source: Girshick et al., arXiv:1311.2524, appendix A (227 pixels, context 16).
    """

    def __init__(
        self, size: int, *, context: float, grey: float = 114 / 255, sampling: int = 2
    ) -> None:
        super().__init__()
        if not 0 <= 2 * context < size:
            raise ValueError(f"context {context} on both sides leaves nothing of {size} pixels")
        self.size, self.context = size, context
        self.grey, self.sampling = grey, sampling

    def forward(self, maps: list[Tensor], boxes: Tensor, image: Tensor) -> Tensor:
        images = maps[0]
        half = sizes(boxes) / 2 * (self.size / (self.size - 2 * self.context))
        around = torch.cat([centres(boxes) - half, centres(boxes) + half], 1)
        rois = torch.cat([image[:, None].to(boxes), around], 1).to(images.dtype)
        crops = roi_align(images - self.grey, rois, self.size, 1.0, self.sampling, aligned=True)
        return crops + self.grey
