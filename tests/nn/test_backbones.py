"""Backbones: the maps they promise, whatever the image size."""

import math
import sys

import pytest
import torch
from torch import nn

from kedge.nn import (
    VGG16,
    CSPDarknet,
    CSPNeXt,
    Darknet19,
    Darknet24,
    Darknet53,
    TimmBackbone,
    Tiny,
    check_backbone,
)

EVERY = {
    "tiny": lambda: Tiny(width=4),
    "darknet19": Darknet19,
    "darknet53": Darknet53,
    "cspdarknet": lambda: CSPDarknet("tiny"),
    "cspnext": lambda: CSPNeXt("tiny"),
    "timm": lambda: TimmBackbone("resnet10t"),
}


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
def test_maps_have_the_promised_channels_and_sizes(make):
    backbone = make().eval()
    check_backbone(backbone)
    maps = backbone(torch.rand(2, 3, 64, 96))
    assert backbone.strides == (8, 16, 32)
    for x, channels, stride in zip(maps, backbone.channels, backbone.strides, strict=True):
        assert x.shape == (2, channels, 64 // stride, 96 // stride)


@pytest.mark.parametrize("size", [(8, 8), (33, 47), (97, 31), (1, 65)])
def test_tiny_has_a_cell_for_every_started_stride(size):
    maps = Tiny(width=4).eval()(torch.rand(1, 3, *size))
    for x, stride in zip(maps, (8, 16, 32), strict=True):
        assert x.shape[-2:] == tuple(math.ceil(side / stride) for side in size)


@pytest.mark.parametrize("kind", [Tiny, Darknet19, Darknet53, CSPDarknet, CSPNeXt])
def test_only_the_stages_asked_for_are_built(kind):
    whole, part = kind(), kind(strides=(8, 16))
    assert part.channels == whole.channels[:2]
    assert [x.shape[1] for x in part.eval()(torch.rand(1, 3, 64, 64))] == list(part.channels)
    count = [sum(p.numel() for p in b.parameters()) for b in (part, whole)]
    assert count[0] < count[1]


def test_darknet19_is_the_published_list_of_convolutions():
    # darknet cfg/yolov2.cfg, up to the layers that YOLOv2 adds: (kernel, channels), P = max pool
    published = (
        "3.32 P 3.64 P 3.128 1.64 3.128 P 3.256 1.128 3.256 P 3.512 1.256 3.512 1.256 3.512 "
        "P 3.1024 1.512 3.1024 1.512 3.1024"
    )
    found = []
    for layer in Darknet19().modules():
        if isinstance(layer, nn.MaxPool2d):
            found.append("P")
        elif isinstance(layer, nn.Conv2d):
            assert layer.bias is None
            found.append(f"{layer.kernel_size[0]}.{layer.out_channels}")
    assert " ".join(found) == published


def test_darknet53_is_the_published_list_of_convolutions():
    # arXiv:1804.02767, table 1: kernel.channels, / where it is strided
    blocks = [("3.64/", "1.32 3.64", 1), ("3.128/", "1.64 3.128", 2), ("3.256/", "1.128 3.256", 8),
              ("3.512/", "1.256 3.512", 8), ("3.1024/", "1.512 3.1024", 4)]  # fmt: skip
    published = " ".join(["3.32", *(f"{a} " + " ".join([b] * n) for a, b, n in blocks)])
    convs = [layer for layer in Darknet53().modules() if isinstance(layer, nn.Conv2d)]
    found = [f"{c.kernel_size[0]}.{c.out_channels}" + "/" * (c.stride[0] == 2) for c in convs]
    assert len(found) == 52
    assert " ".join(found) == published


def test_darknet24_has_24_convolutions_and_7_x_7_cells_at_448_pixels():
    backbone = Darknet24().eval()
    check_backbone(backbone)
    assert sum(isinstance(layer, nn.Conv2d) for layer in backbone.modules()) == 24
    assert backbone(torch.zeros(1, 3, 64, 128))[0].shape == (1, 1024, 1, 2)
    assert 448 // backbone.strides[0] == 7
    with pytest.raises(ValueError, match=r"maps of stride \[64\], none of stride \[32\]"):
        Darknet24(strides=(32,))


@pytest.mark.parametrize(
    ("kind", "size", "channels"),
    [
        (CSPDarknet, "s", (128, 256, 512)),
        (CSPDarknet, "m", (192, 384, 768)),
        (CSPNeXt, "tiny", (96, 192, 384)),
        (CSPNeXt, "l", (256, 512, 1024)),
    ],
)
def test_csp_backbones_have_the_published_widths(kind, size, channels):
    with torch.device("meta"):
        assert kind(size).channels == channels
    with pytest.raises(ValueError, match="size 'huge' is not one of tiny, s, m, l, x"):
        kind("huge")


def test_timm_normalises_with_the_models_own_colours():
    backbone = TimmBackbone("resnet10t").eval()
    mean = backbone.normalise.mean.expand(1, 3, 64, 64)
    grey = backbone.model(torch.zeros(1, 3, 64, 64))
    assert torch.allclose(backbone(mean)[0], grey[backbone._at[0]])
    assert not [name for name in backbone.state_dict() if name in ("mean", "std")]


def test_errors_say_what_there_is():
    with pytest.raises(ValueError, match=r"no model 'resnet19'; near it"):
        TimmBackbone("resnet19")
    with pytest.raises(ValueError, match=r"none of stride \[64\]"):
        TimmBackbone("resnet10t", strides=(8, 64))
    with pytest.raises(ValueError, match=r"Tiny has maps of stride \[4, 8, 16, 32\], none of"):
        Tiny(strides=(64,))
    with pytest.raises(ValueError, match="width >= 2"):
        Tiny(width=1)
    with pytest.raises(ValueError, match="needs `channels` and `strides`"):
        check_backbone(nn.Identity())
    wrong = nn.Identity()
    wrong.channels, wrong.strides = (8, 8), (16, 8)
    with pytest.raises(ValueError, match="finest map first"):
        check_backbone(wrong)


def test_without_timm_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"kedge\[backbones\]"):
        TimmBackbone("resnet18")


@pytest.mark.parametrize("size", [(33, 47), (16, 100)])
def test_vgg_has_a_cell_for_every_started_stride(size):
    vgg = VGG16((4, 8, 16, 32), fc7=32).eval()
    check_backbone(vgg)
    maps = vgg(torch.rand(1, 3, *size))
    for x, channels, stride in zip(maps, (256, 512, 512, 1024), (4, 8, 16, 32), strict=True):
        assert x.shape == (1, channels, *(math.ceil(side / stride) for side in size))


def test_vgg_normalises_what_it_returns_and_not_what_it_reads():
    torch.manual_seed(0)
    plain, normed = VGG16((8, 16)).eval(), VGG16((8, 16), norms={8: 20.0}).eval()
    normed.features.load_state_dict(plain.features.state_dict())
    image = torch.rand(1, 3, 32, 48)
    (fine, coarse), (unit, same) = plain(image), normed(image)
    assert torch.equal(coarse, same)
    length = unit.norm(dim=1)
    assert torch.allclose(length, torch.full_like(length, 20.0), rtol=1e-4)
    assert torch.allclose(unit, 20 * fine / fine.norm(dim=1, keepdim=True), rtol=1e-4, atol=1e-5)
