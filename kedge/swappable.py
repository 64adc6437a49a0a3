"""Swappable: modules whose parts can be replaced by parts of another kind."""

from typing import Any

from torch import nn


class Swappable(nn.Module):
    """A module whose parts are modules where they have state, else plain objects, at any time.

    ``nn.Module`` refuses a plain object in place of a child module. A strategy with parameters
    (AutoAssign) or a loss with running statistics can here give way to one without, and back.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        children = self.__dict__.get("_modules", {})
        if name in children and not isinstance(value, nn.Module):
            del children[name]
        super().__setattr__(name, value)
