"""torchvision's classifiers as backbones: their layers, under their own names."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.ops import FrozenBatchNorm2d

from kedge.nn.normalise import IMAGENET_MEAN, IMAGENET_STD, Normalise

RESNETS = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
    "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2",
)  # fmt: skip
MOBILENETS = ("mobilenet_v3_large", "mobilenet_v3_small")

Norm = Callable[..., nn.Module]
Layers = dict[str, nn.Module]
Stages = dict[str, tuple[int, int]]  # the layer that ends a stage: its stride and channels


class TorchvisionBackbone(nn.Module):
    """The last ``maps`` maps of a torchvision classifier, as torchvision's detectors read them.

    Of a ResNet (``resnet50``, ``resnext50_32x4d`` ...) at most four, of stride 4, 8, 16 and 32; of
    ``mobilenet_v3_large`` or ``_small`` two, both of stride 32 (before and after the last
    convolution). ``body`` holds the layers under torchvision's names.

    Args:
        name: the classifier, without its weights.
        maps: how many maps.
        frozen: batch norm with fixed statistics and scale (``FrozenBatchNorm2d``), as torchvision
            trains detectors; else plain batch norm.
        eps: of the batch norm.
        mean, std: what images in [0, 1] are normalised with, channel by channel.

    Raises ``ValueError`` for another name, or more maps than there are.
    """

    def __init__(
        self,
        name: str,
        *,
        maps: int,
        frozen: bool = True,
        eps: float = 1e-5,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        norm: Norm = partial(FrozenBatchNorm2d if frozen else nn.BatchNorm2d, eps=eps)
        layers, stages = _mobilenet(name, norm) if name in MOBILENETS else _resnet(name, norm)
        if not 1 <= maps <= len(stages):
            raise ValueError(f"{name} has {len(stages)} maps, not {maps}")
        self.body = nn.ModuleDict(layers)
        self.taken = tuple(stages)[-maps:]
        self.strides = tuple(stages[layer][0] for layer in self.taken)
        self.channels = tuple(stages[layer][1] for layer in self.taken)
        self.normalise = Normalise(mean, std)

    def forward(self, images: Tensor) -> list[Tensor]:
        x, maps = self.normalise(images), []
        for name, layer in self.body.items():
            x = layer(x)
            if name in self.taken:
                maps.append(x)
        return maps


def _resnet(name: str, norm: Norm) -> tuple[Layers, Stages]:
    if name not in RESNETS:
        known = ", ".join((*RESNETS, *MOBILENETS))
        raise ValueError(f"no torchvision backbone {name!r}; there are {known}")
    model: Any = models.get_model(name, weights=None, norm_layer=norm)
    layers = {key: part for key, part in model.named_children() if key not in ("avgpool", "fc")}
    widest = model.fc.in_features
    return layers, {f"layer{i}": (2 ** (i + 1), widest >> (4 - i)) for i in range(1, 5)}


def _mobilenet(name: str, norm: Norm) -> tuple[Layers, Stages]:
    model: Any = models.get_model(name, weights=None, norm_layer=norm)
    features = model.features
    last = len(features) - 1
    ends = (max(i for i in range(last) if getattr(features[i], "_is_cn", False)), last)
    return dict(features.named_children()), {str(i): (32, features[i].out_channels) for i in ends}


def recognise_body(shapes: dict[str, torch.Size], *, maps: int, frozen: bool) -> str:
    """The classifier whose body has tensors of these names and shapes, or most of them."""
    likeness = {}
    for name in RESNETS if "conv1.weight" in shapes else MOBILENETS:
        with torch.device("meta"):
            state = TorchvisionBackbone(name, maps=min(maps, 2), frozen=frozen).body.state_dict()
        own = {(key, value.shape) for key, value in state.items()}
        likeness[name] = -len(own ^ set(shapes.items()))
        if likeness[name] == 0:
            return name
    return max(likeness, key=lambda name: likeness[name])
