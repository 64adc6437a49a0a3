"""The moving average: by hand, and on the device of its detector."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from kedge.train.ema import EMA


class Counting(nn.Module):
    """One weight, and a counter as batch norm has it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([8.0]))
        self.register_buffer("seen", torch.tensor(0))


def step(ema: EMA, number: int) -> None:
    ema.on_train_batch_end(SimpleNamespace(global_step=number), None, None, None, 0)


def test_by_hand():
    detector = Counting()
    ema = EMA(detector, 0.5)
    step(ema, 1)  # the first average is the weights
    detector.weight.data.fill_(16.0)
    detector.seen.fill_(7)
    step(ema, 2)  # d = min(.5, 3 / 12) = .25: 8 / 4 + 16 * 3 / 4
    assert ema.weights()["weight"].tolist() == [14.0]
    assert ema.weights()["seen"] == 7
    detector.weight.data.fill_(30.0)
    step(ema, 100)  # d = .5
    assert ema.weights()["weight"].tolist() == [22.0]
    with ema.swapped_in():
        assert detector.weight.tolist() == [22.0]
    assert detector.weight.tolist() == [30.0]


def test_a_restored_average_follows_its_detector_to_another_device():
    """Lightning restores callbacks from a checkpoint read to the processor, before or after the
    detector moves; the meta device stands for the accelerator."""
    ema = EMA(Counting(), 0.9)
    step(ema, 1)
    resumed = EMA(Counting(), 0.9)
    resumed.load_state_dict(ema.state_dict())
    resumed.detector.to("meta")
    assert {value.device.type for value in resumed.average.values()} == {"cpu"}
    step(resumed, 2)
    assert {value.device.type for value in resumed.average.values()} == {"meta"}


def test_no_decay_means_the_weights_themselves():
    detector = Counting()
    ema = EMA(detector, 0.0)
    step(ema, 1)
    detector.weight.data.fill_(3.0)
    assert ema.weights()["weight"].tolist() == [3.0]


def test_on_a_device_that_differs_the_step_would_fail(monkeypatch):
    """What the first test proves is needed: without following, tensors of two devices meet."""
    ema = EMA(Counting(), 0.9)
    step(ema, 1)
    ema.detector.to("meta")
    monkeypatch.setattr(EMA, "_follow", lambda self, now: None)
    with pytest.raises((RuntimeError, NotImplementedError)):
        step(ema, 2)
