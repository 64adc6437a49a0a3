"""The convolution blocks that backbones and heads are made of."""

from torch import Tensor, nn
from torch.nn import functional as F

LEAK = 0.1  # darknet's slope


def conv_bn(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, leaky ReLU; (B, inputs, H, W) to (B, outputs, H', W').

    H' is ceil(H / stride).
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(LEAK, inplace=True),
    )


def depthwise(inputs: int, outputs: int, kernel: int = 5, *, stride: int = 1) -> nn.Sequential:
    """A convolution in each channel, then one of 1 x 1, each with batch norm and leaky ReLU; (B,
    inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, kernel, stride, padding=kernel // 2, groups=inputs, bias=False),
        CellNorm(inputs),
        nn.LeakyReLU(LEAK, inplace=True),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        CellNorm(outputs),
        nn.LeakyReLU(LEAK, inplace=True),
    )


class Residual(nn.Module):
    """``x + conv(conv(x))`` at one width and resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            conv_bn(channels, channels // 2, kernel=1), conv_bn(channels // 2, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convs(x)


class CellNorm(nn.BatchNorm2d):
    """Batch norm that also trains on a single cell, which has no spread: a map of 1 x 1 in a batch
    of one image is normalised by the running statistics."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and input.numel() == self.num_features:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)


def tower(width: int, depth: int, *, norm: bool = True, bias: bool = True) -> nn.Sequential:
    """``depth`` times 3 x 3 convolution, group norm of 8 channels a group with ``norm``, ReLU.

    The convolutions start with Gaussian weights of 0.01 and, with ``bias``, zeros (RetinaNet).
    """
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers.append(output(width, width, bias=bias))
        if norm:
            layers.append(nn.GroupNorm(max(1, width // 8), width))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def output(inputs: int, outputs: int, *, start: float = 0.0, bias: bool = True) -> nn.Conv2d:
    """A 3 x 3 convolution with Gaussian weights of 0.01, which says about ``start`` untrained."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.constant_(layer.bias, start)
    return layer


def conv_norm(
    inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, relu: bool = True
) -> nn.Sequential:
    """Convolution without bias, batch norm and, with ``relu``, ReLU: the block of the hourglass."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))
