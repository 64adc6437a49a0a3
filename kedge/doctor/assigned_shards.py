"""Strategies compared over shards: each shard by itself, and the numbers added up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from kedge.assign.by_name import strategy
from kedge.data import read, said
from kedge.data.sources import choose_split
from kedge.doctor.chosen import Chosen, choose
from kedge.doctor.scene import scene_of_detector


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """One shard, or several: what every strategy chose there, or why it cannot run; images and
    objects looked at; what the reader had to say; what the anchors are."""

    chosen: Mapping[str, Chosen | str]
    images: int
    objects: int
    title: str
    said: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values of one shard, as ``--json`` writes them."""
        ran = {name: one for name, one in self.chosen.items() if isinstance(one, Chosen)}
        positives = {name: one.counts["positives"] for name, one in ran.items()}
        return {"images": self.images, "objects": self.objects, "positives": positives}


def assign_shard(
    shard: str,
    *,
    strategies: Sequence[str],
    detector: str,
    anchors: str | None,
    image_size: tuple[int, int],
    split: str | None = None,
    root: Path | None = None,
    images: int = 1000,
    batch_size: int = 16,
) -> Assigned:
    """What strategies, by name, choose in at most ``images`` images of a shard, spread over it.

    Worst images are called by the shard and their name. A pure function of the shard, but for the
    seconds. Raises ``ValueError`` for a shard that cannot be read, or holds no object.
    """
    found = read(shard, choose_split(shard, split), "drop", check_images=False, root=root)
    records = found.records[:: max(1, -(-len(found) // images))]
    scene = scene_of_detector(detector, anchors, image_size, records)
    if len(scene.objects.fair) == 0:
        raise ValueError(f"{shard}: holds no object: nothing to assign")
    chosen: dict[str, Chosen | str] = {}
    for name in strategies:
        try:
            chosen[name] = choose(strategy(name), scene, batch_size, f"{shard}: ")
        except ValueError as problem:
            chosen[name] = str(problem)
    return Assigned(
        chosen=chosen,
        images=len(records),
        objects=len(scene.objects.fair),
        title=scene.title,
        said=tuple(said(found)),
    )


def added(shards: Mapping[str, Assigned]) -> Assigned:
    """All shards together, whatever their order. A strategy that could not run in one of them says
    why, and has no numbers. Raises ``ValueError`` for none."""
    if not shards:
        raise ValueError("no shard could be read: nothing to assign")
    parts = [shards[name] for name in sorted(shards)]
    chosen: dict[str, Chosen | str] = {}
    for name in parts[0].chosen:
        each = [part.chosen[name] for part in parts]
        ran = [one for one in each if isinstance(one, Chosen)]
        notes = [one for one in each if isinstance(one, str)]
        chosen[name] = notes[0] if notes else reduce(add, ran)
    return Assigned(
        chosen=chosen,
        images=sum(part.images for part in parts),
        objects=sum(part.objects for part in parts),
        title=parts[0].title,
    )
