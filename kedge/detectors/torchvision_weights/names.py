"""Tensors by torchvision's names and by ours: tables, and what does not fit them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


def _same(tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """What begins with ``theirs`` there begins with ``ours`` here; ``take`` makes our tensor of
    theirs, ``give`` theirs of ours. ``theirs`` None: torchvision has no such tensor."""

    theirs: str | None
    ours: str
    take: Callable[[Tensor], Tensor] = _same
    give: Callable[[Tensor], Tensor] = _same


def renames(table: Mapping[str, str]) -> list[Rename]:
    """A table of theirs to ours, of tensors that are the same; anchor shapes are none there."""
    same = [Rename(theirs=theirs, ours=ours) for theirs, ours in table.items()]
    return [*same, Rename(theirs=None, ours="shapes.")]


def background_last(shapes: int = 1) -> dict[str, Callable[[Tensor], Tensor]]:
    """``take`` and ``give`` of class outputs (``shapes`` C, ...): background is the first class
    there and the last one here."""

    def rolled(tensor: Tensor, by: int) -> Tensor:
        return tensor.unflatten(0, (shapes, -1)).roll(by, 1).flatten(0, 1)

    return {"take": lambda tensor: rolled(tensor, -1), "give": lambda tensor: rolled(tensor, 1)}


def without_background(size: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """``take`` and ``give`` of codes (C ``size``, ...): those of background, which nobody reads,
    come first there and are left out here. What is given back for them is zero."""

    def give(tensor: Tensor) -> Tensor:
        return torch.cat([tensor.new_zeros(size, *tensor.shape[1:]), tensor])

    return {"take": lambda tensor: tensor[size:], "give": give}


def paired(
    detector: nn.Module, table: Iterable[Rename], where: str
) -> list[tuple[str, str, Rename]]:
    """Their name and ours of every tensor of ``detector``, with what changes it."""
    longest = sorted(table, key=lambda rename: -len(rename.ours))
    pairs = []
    for ours in detector.state_dict():
        rename = next((r for r in longest if ours.startswith(r.ours)), None)
        if rename is None:
            raise ValueError(f"{where}: {ours!r} has no counterpart in torchvision")
        if rename.theirs is not None:
            pairs.append((rename.theirs + ours.removeprefix(rename.ours), ours, rename))
    return pairs


def take_weights(
    detector: nn.Module, weights: Mapping[str, Tensor], table: Iterable[Rename], where: str
) -> None:
    """Fills ``detector`` with torchvision's ``weights``.

    ``ValueError`` names the first tensor that is missing, unknown or of another shape.
    """
    own, taken, known = detector.state_dict(), {}, set()
    for theirs, ours, rename in paired(detector, table, where):
        known.add(theirs)
        if theirs not in weights:
            raise ValueError(f"{where}: {theirs!r} is missing")
        expected = rename.give(own[ours]).shape
        if weights[theirs].shape != expected:
            have = tuple(weights[theirs].shape)
            raise ValueError(f"{where}: {theirs!r} is {have}, not {tuple(expected)}")
        taken[ours] = rename.take(weights[theirs])
    for theirs in weights:
        if theirs not in known:
            raise ValueError(f"{where}: {theirs!r} is unexpected")
    detector.load_state_dict(taken, strict=False)  # what torchvision lacks stays


def freeze_alike(
    detector: nn.Module, model: nn.Module, table: Iterable[Rename], where: str
) -> None:
    """What is not trained in torchvision's ``model`` is not trained in ``detector``."""
    learned, own = dict(model.named_parameters()), dict(detector.named_parameters())
    for theirs, ours, _ in paired(detector, table, where):
        if theirs in learned and ours in own:
            own[ours].requires_grad_(learned[theirs].requires_grad)


def give_weights(detector: nn.Module, table: Iterable[Rename], where: str) -> dict[str, Tensor]:
    """The state dict that torchvision's detector of the same form loads."""
    own = detector.state_dict()
    pairs = paired(detector, table, where)
    return {theirs: rename.give(own[ours]).clone() for theirs, ours, rename in pairs}
