"""Chosen: what a strategy chooses in some images, in numbers that can be added up."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor

from kedge.assign import report
from kedge.doctor.scene import Scene
from kedge.types import Assigner

_WORST = 5
_COUNTS = ("objects", "positives", "without", "ignored", "shared")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a strategy chose: ``images`` looked at, ``counts`` by name (see
    ``kedge.assign.Report``), positives of every level, and the ``worst`` images, those with most
    objects that no anchor answers for, as (number, name). ``seconds``: of assigning.

    The numbers of two parts add up to those of the whole, whatever the order and the grouping.
    """

    images: int
    counts: Mapping[str, int]
    levels: tuple[int, ...]
    worst: tuple[tuple[int, str], ...]
    seconds: float

    def __add__(self, other: "Chosen") -> "Chosen":
        worst = sorted([*self.worst, *other.worst], key=_by_number)[:_WORST]
        return Chosen(
            images=self.images + other.images,
            counts={key: self.counts[key] + other.counts[key] for key in _COUNTS},
            levels=tuple(map(add, self.levels, other.levels)),
            worst=tuple(worst),
            seconds=self.seconds + other.seconds,
        )

    def row(self) -> dict[str, Any]:
        """A row of the table."""
        objects, positives = max(self.counts["objects"], 1), max(sum(self.levels), 1)
        return {
            **self.counts,
            "without share": self.counts["without"] / objects,
            "positives per object": self.counts["positives"] / objects,
            "levels": [round(number / positives, 4) for number in self.levels],
            "ms per image": 1000 * self.seconds / max(self.images, 1),
        }


def choose(rule: Assigner, scene: Scene, batch_size: int, prefix: str = "") -> Chosen:
    """What ``rule`` chooses in a scene. Images are called by ``prefix`` and their name.

    Raises ``ValueError`` where it cannot run here.
    """
    parts, images = [], len(scene.records)
    for start in range(0, images, batch_size):
        targets, predictions = scene.batch(start, start + batch_size)
        begin = time.perf_counter()
        assignment = rule(scene.anchors(predictions), targets, predictions)
        seconds = time.perf_counter() - begin
        found = report(assignment)
        counts = {key: getattr(found, key) for key in _COUNTS}
        names = [
            f"{prefix}{record.name or f'image {record.image_id}'}"
            for record in scene.records[start : start + batch_size]
        ]
        parts.append(
            Chosen(
                images=targets.batch_size,
                counts=counts | {"without": len(found.without)},
                levels=tuple(found.per_level.tolist()),
                worst=_worst(targets.image[found.without], names),
                seconds=seconds,
            )
        )
    return reduce(add, parts)


def measure(rule: Assigner, scene: Scene, batch_size: int) -> dict[str, Any]:
    """What one strategy chooses, in numbers; ``note`` where it cannot run here."""
    try:
        return choose(rule, scene, batch_size).row()
    except ValueError as error:
        return {"note": str(error)}


def _worst(image: Tensor, names: list[str]) -> tuple[tuple[int, str], ...]:
    number = torch.bincount(image, minlength=len(names)).tolist()
    bad = [(count, name) for count, name in zip(number, names) if count]
    return tuple(sorted(bad, key=_by_number)[:_WORST])


def _by_number(worst: tuple[int, str]) -> tuple[int, str]:
    return -worst[0], worst[1]
