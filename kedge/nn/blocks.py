"""What the backbones are made of."""

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
