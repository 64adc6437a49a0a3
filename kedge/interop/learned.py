"""Anchor shapes that are learned inside another library's model: what every adapter shares."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kedge.anchors.learned import LearnedShapes
from kedge.anchors.level import Level
from kedge.boxes import centres, sizes
from kedge.design.placed_warmup import placed_warmup
from kedge.detectors.object_warmup import ObjectWarmup
from kedge.interop.listed import common_centre
from kedge.interop.undo import Undo
from kedge.types import Targets


class Learner(Protocol):
    """The shapes of one anchor generator, and the way back into it."""

    learned: LearnedShapes

    def write_back(self) -> None:
        """Gives the peer's generator the shapes that were learned."""
        ...


class LearnedAnchors(Undo):
    """What ``learn_anchors`` changed.

    ``finish()`` ends the learning and leaves the shapes in the peer's own generator; the undo alone
    (call, or the end of a ``with`` block) takes everything back, the shapes too.
    """

    def __init__(self, peer: str) -> None:
        super().__init__(f"Kedge learns anchors in {peer}'s")
        self.generators: list[Learner] = []

    @property
    def shapes(self) -> Tensor:
        """(S, 2) width and height of all shapes in pixels of the network's input."""
        return torch.cat([generator.learned.shapes for generator in self.generators])

    def parameters(self) -> list[nn.Parameter]:
        """The logarithms of the shapes, for a parameter group without weight decay."""
        return [generator.learned.log_shapes for generator in self.generators]

    def finish(self) -> None:
        """Writes the shapes into the model's own anchor generator, and takes all of Kedge out.

        The peers keep anchors outside the ``state_dict``: save the model as a whole, or the shapes
        beside it.
        """
        for generator in self.generators:
            generator.write_back()
        self()


def warm_up(schedule: ObjectWarmup, learned: LearnedShapes, targets: Callable[[], Targets]) -> None:
    """A step of ``schedule`` on the objects of a batch, in pixels of the network's input, before
    its anchors are made; nothing once it is over. ``ValueError`` with several processes."""
    if not schedule.active:
        return
    if _processes() > 1:
        raise ValueError(
            "learn_anchors: each process would warm up other shapes; with several processes pass "
            "warmup_steps=0"
        )
    schedule.update(learned, targets())


def _processes() -> int:
    """How many processes train together."""
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if together else 1


class LearnedCells(nn.Module):
    """The boxes of a cell, level by level, from shapes that are parameters (``learned``): about the
    centres of ``cells`` ((A, 4) each), which are ``strides`` (y, x) apart, the first ``shift``
    cells from the corner of the image. ``warmup``: its schedule, or None.

    ``after``: what the peer's generator gets back at the undo; at first, what it had.
    """

    def __init__(
        self,
        cells: Sequence[Tensor],
        after: Any,
        warmup_steps: int,
        strides: Sequence[tuple[float, float]],
        shift: float = 0.0,
    ) -> None:
        super().__init__()
        cells, levels = [part.detach().float() for part in cells], []
        for number, (stride, part) in enumerate(zip(strides, cells, strict=True)):
            x, y = common_centre(part, f"level {number}").tolist()
            self.register_buffer(f"middle{number}", centres(part), persistent=False)
            offset = shift + (x / stride[1] + y / stride[0]) / 2  # for the warm-up alone
            levels.append(Level(stride=stride, shapes=sizes(part), offset=offset))
        self.counts = [len(part) for part in cells]
        self.learned = LearnedShapes(levels)
        self.warmup = placed_warmup(self.learned, warmup_steps) if warmup_steps else None
        self.__dict__["after"] = after

    def boxes(self) -> list[Tensor]:
        """(A, 4) of every level, differentiable in the shapes."""
        half = (self.learned.log_shapes.exp() / 2).split(self.counts)
        middles = [self.get_buffer(f"middle{number}") for number in range(len(half))]
        return [torch.cat([m - h, m + h], dim=1) for m, h in zip(middles, half)]

    def warm_up(self, targets: Callable[[], Targets]) -> None:
        """A step of the warm-up, where there is one."""
        if self.warmup is not None:
            warm_up(self.warmup, self.learned, targets)

    def write_back(self) -> None:
        """The peer's generator gets the shapes that were learned."""
        self.__dict__["after"] = self.as_peer([part.detach() for part in self.boxes()])

    def as_peer(self, boxes: list[Tensor]) -> Any:
        """Boxes of a cell as the peer's generator holds them."""
        return boxes


def shape_gradient(anchor_boxes: Tensor, stds: Sequence[float]) -> Tensor:
    """(P, 4) zeros, to be added to codes of ``anchor_boxes`` (P, 4) that carry no gradient: through
    them a shape gets that of the size residual, ``log(g / a) / std``, alone.

    Source: Zhong et al., arXiv:1812.00469, section 3.1.
    """
    log = sizes(anchor_boxes).log()
    return torch.cat([torch.zeros_like(log), log.detach() - log], dim=1) / log.new_tensor(stds)
