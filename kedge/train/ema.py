"""A moving average of the weights, which is what a run evaluates and saves."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn


class EMA(Callback):
    """``average = d * average + (1 - d) * weights`` after every step, over all weights and buffers.

    ``d = min(decay, (1 + step) / (10 + step))``, so that short runs are not held back by their
    start. Counters (integer buffers) are copied. ``decay=0``: the weights themselves.
    """

    def __init__(self, detector: nn.Module, decay: float) -> None:
        self.detector, self.decay = detector, decay
        self.average: dict[str, Tensor] = {}

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self.decay:
            return
        step = trainer.global_step
        rate = 1 - min(self.decay, (1 + step) / (10 + step))
        now = self.detector.state_dict()
        self._follow(now)
        if not self.average:
            self.average = {name: value.detach().clone() for name, value in now.items()}
            return
        floats = [name for name, value in now.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.average[n] for n in floats], [now[n] for n in floats], rate)
        for name in now.keys() - set(floats):
            self.average[name].copy_(now[name])

    def _follow(self, now: dict[str, Tensor]) -> None:
        """The average on the detector's device: a run is resumed before its detector moves."""
        if self.average and any(v.device != now[n].device for n, v in self.average.items()):
            self.average = {name: v.to(now[name].device) for name, v in self.average.items()}

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights, or the weights themselves while there is no average."""
        return self.average or self.detector.state_dict()

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The detector carries the average inside this block, and its own weights after it."""
        own = {name: value.detach().clone() for name, value in self.detector.state_dict().items()}
        self.detector.load_state_dict(self.weights())
        try:
            yield
        finally:
            self.detector.load_state_dict(own)

    def state_dict(self) -> dict[str, Any]:
        return {"average": self.average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.average = dict(state_dict["average"])
