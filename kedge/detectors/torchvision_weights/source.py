"""What torchvision's detector says of itself: tensors by name, and settings where there are any."""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

OldNames = tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]
_OLD: OldNames = ((re.compile(r"(fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$"), r"\1.0.\2"),)


class Source:
    """A detector of torchvision's, or its state dict alone.

    ``where`` begins every error. A state dict has no settings: those of torchvision's builder are
    taken for them. Tensors whose names begin with one of ``ignored`` are left out; ``old`` names
    are replaced.
    """

    def __init__(
        self,
        model: nn.Module | Mapping[str, Tensor],
        where: str,
        *,
        ignored: tuple[str, ...] = (),
        old: OldNames = (),
    ) -> None:
        self.model, self.where = (model if isinstance(model, nn.Module) else None), where
        state = model.state_dict() if isinstance(model, nn.Module) else model
        if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
            raise ValueError(f"{where}: takes a model of torchvision's, or its state dict")
        self.weights = {
            _present(key, (*_OLD, *old)): value
            for key, value in state.items()
            if not key.startswith(ignored)
        }

    def has(self, key: str) -> bool:
        """Whether there is such a tensor."""
        return key in self.weights

    def shape(self, key: str) -> torch.Size:
        """Its shape; ``ValueError`` where there is none."""
        if key not in self.weights:
            raise ValueError(f"{self.where}: {key!r} is missing")
        return self.weights[key].shape

    def count(self, pattern: str) -> int:
        """How many tensors are called so, with 0, 1, 2 ... for ``{}``."""
        number = 0
        while pattern.format(number) in self.weights:
            number += 1
        return number

    def setting(self, path: str, default: Any) -> Any:
        """An attribute of the model (``rpn.nms_thresh``); ``default`` of a state dict."""
        if self.model is None:
            return default
        try:
            return attrgetter(path)(self.model)
        except AttributeError:
            raise ValueError(f"{self.where}: the model has no {path}") from None

    def shapes(self, path: str, default: Sequence[Any]) -> list[list[list[float]]]:
        """The shapes (w, h) of every level of the ``AnchorGenerator`` at ``path``."""
        generator = self.setting(path, None)
        if generator is None:
            return [[[float(w), float(h)] for w, h in level] for level in default]
        found = []
        for corners in generator.cell_anchors:
            if not torch.equal(corners[:, :2], -corners[:, 2:]):
                raise ValueError(f"{self.where}: anchors that do not stand on their cell's point")
            found.append((corners[:, 2:] - corners[:, :2]).tolist())
        return found


def _present(key: str, old: OldNames) -> str:
    for pattern, name in old:
        key = pattern.sub(name, key)
    return key
