"""The last layers: from feature maps to one row of outputs per anchor."""

import math

import torch
from torch import Tensor, nn

from kedge.nn.blocks import output, tower
from kedge.nn.scale_norm import ScaleNorm


def prior_bias(probability: float) -> float:
    """The bias at which a sigmoid says ``probability``: -log((1 - p) / p)."""
    if not 0 < probability < 1:
        raise ValueError(f"prior must lie strictly between 0 and 1, got {probability}")
    return -math.log((1 - probability) / probability)


def rows(maps: Tensor, shapes: int) -> Tensor:
    """(B, shapes K, H, W) -> (B, H W shapes, K): anchor order y, x, shape; at least float32."""
    batch, channels, height, width = maps.shape
    maps = maps.view(batch, shapes, channels // shapes, height, width).permute(0, 3, 4, 1, 2)
    out = maps.reshape(batch, height * width * shapes, channels // shapes)
    return out.to(torch.promote_types(out.dtype, torch.float32))


class YoloOutput(nn.Module):
    """A 1 x 1 convolution to ``code_size`` codes, objectness and C class scores per shape.

    Channels are in darknet's order. Returns codes (B, N, D), objectness (B, N) and logits (B, N,
    C); anchors in the order y, x, shape. ``scale_only_bn`` puts the two size outputs of every shape
    through ``ScaleNorm``. ``prior`` is the objectness that the untrained output gives every anchor
    (darknet: 0.5).
    """

    def __init__(
        self,
        inputs: int,
        shapes: int,
        num_classes: int,
        *,
        code_size: int = 4,
        prior: float = 0.5,
        scale_only_bn: bool = False,
    ) -> None:
        super().__init__()
        if scale_only_bn and code_size != 4:
            raise ValueError(f"scale_only_bn norms tw and th: the coder has {code_size} numbers")
        self.shapes, self.code_size = shapes, code_size
        self.conv = nn.Conv2d(inputs, shapes * (code_size + 1 + num_classes), 1)
        self.size_norm = ScaleNorm(2 * shapes) if scale_only_bn else None
        nn.init.normal_(self.conv.weight, std=0.01)
        nn.init.zeros_(self.conv.bias)  # pyright: ignore[reportArgumentType]
        with torch.no_grad():
            self.conv.bias.view(shapes, -1)[:, code_size] = prior_bias(prior)  # pyright: ignore

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.conv(x)
        out = rows(maps, self.shapes)
        codes = out[..., : self.code_size]
        if self.size_norm is not None:
            batch, _, height, width = maps.shape
            split = maps.view(batch, self.shapes, -1, height, width)
            size = self.size_norm(split[:, :, 2:4].flatten(1, 2))
            codes = torch.cat([out[..., :2], rows(size, self.shapes)], -1)
        return codes, out[..., self.code_size], out[..., self.code_size + 1 :]


class Subnet(nn.Module):
    """RetinaNet's subnet, shared by all levels: ``depth`` 3 x 3 convolutions, then the output.

    Maps of (B, width, H, W) to (B, N, outputs): all levels, anchors in the order level, y, x,
    shape. With ``prior`` the output's bias makes a sigmoid start at that probability. ``norm`` adds
    group norm after every convolution (torchvision's v2 recipe; needed to train from scratch).

    Source: arXiv:1708.02002, section 4: Gaussian initialisation of 0.01, bias -log((1 - prior) /
    prior).
    """

    def __init__(
        self,
        width: int,
        shapes: int,
        outputs: int,
        *,
        depth: int = 4,
        prior: float | None = None,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.shapes = shapes
        self.tower = tower(width, depth, norm=norm, bias=not norm)
        start = 0.0 if prior is None else prior_bias(prior)
        self.output = output(width, shapes * outputs, start=start)

    def forward(self, maps: list[Tensor]) -> Tensor:
        return torch.cat([rows(self.output(self.tower(x)), self.shapes) for x in maps], 1)
