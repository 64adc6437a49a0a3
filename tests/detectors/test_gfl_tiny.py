"""GFL-tiny: its layers, its size, and that it learns."""

import pytest
import torch

from detectors.scenes import batch
from kedge.assign import DynamicSoftLabel
from kedge.detectors import GFLTiny
from kedge.nn import DepthwiseHead, DepthwisePAN

CHANNELS = (8, 12, 16)


def maps(height, width):
    torch.manual_seed(0)
    sides = [(-(-height // s), -(-width // s)) for s in (8, 16, 32)]
    return [torch.rand(2, c, *side) for c, side in zip(CHANNELS, sides)]


@pytest.mark.parametrize("size", [(64, 96), (40, 104), (8, 8)])
def test_the_neck_keeps_the_sizes_and_adds_a_level(size):
    neck = DepthwisePAN(CHANNELS, 10).eval()
    found = neck(maps(*size))
    wanted = [(-(-size[0] // s), -(-size[1] // s)) for s in (8, 16, 32, 64)]
    assert [tuple(x.shape) for x in found] == [(2, 10, *side) for side in wanted]


def test_every_level_hears_of_every_map():
    neck = DepthwisePAN(CHANNELS, 10).eval()
    given = [x.requires_grad_() for x in maps(64, 96)]
    for x in neck(given):
        for slope in torch.autograd.grad(x.sum(), given, retain_graph=True):
            assert slope.any()


def test_the_head_answers_in_order_and_starts_at_its_prior():
    head = DepthwiseHead(10, levels=2, outputs=3, code_size=32, prior=0.02).eval()
    logits, codes = head([torch.zeros(1, 10, 4, 6), torch.zeros(1, 10, 2, 3)])
    assert logits.shape == (1, 30, 3)
    assert codes.shape == (1, 30, 32)
    assert float(logits.detach().sigmoid().mean()) == pytest.approx(0.02, rel=0.05)


def test_the_micro_tier_is_small():
    model = GFLTiny(num_classes=3, backbone="micro")
    assert sum(p.numel() for p in model.parameters()) < 200_000
    assert model.strides == (8, 16, 32, 64)


def test_it_learns_with_either_strategy():
    images, targets = batch()
    for assign in (None, DynamicSoftLabel()):
        torch.manual_seed(0)
        model = GFLTiny(num_classes=3, backbone="micro", width=16, assign=assign)
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
        losses = []
        for _ in range(15):
            named = model(images, targets)
            assert named.keys() == {"classification", "box"}
            loss = torch.stack(list(named.values())).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < 0.7 * losses[0]


@pytest.mark.slow
def test_the_micro_tier_in_int8_has_fewer_than_300_kilobytes(tmp_path):
    from kedge.export import export

    torch.manual_seed(0)
    model = GFLTiny(num_classes=3, backbone="micro").eval()
    noise = (torch.rand(1, 3, 192, 256).numpy() for _ in range(3))
    path = tmp_path / "micro.onnx"
    export(model, path, to="int8", image_size=(192, 256), calibration=noise)
    assert path.stat().st_size < 300_000
