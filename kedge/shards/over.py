"""All shards looked at, in an order that nothing depends on."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from kedge.shards.counter import Counter, in_turn

T = TypeVar("T")


def over_shards(
    shards: Sequence[str],
    count: Callable[[str], T],
    counter: Counter = in_turn,
    progress: Callable[[str], None] | None = None,
) -> tuple[dict[str, T], dict[str, str]]:
    """What ``count`` says of every shard, and why some could not be looked at; both in the order of
    ``shards``, whoever was done first."""
    found: dict[str, T] = {}
    failed: dict[str, str] = {}
    for shard, said in counter(shards, count):
        if isinstance(said, Exception):
            failed[shard] = str(said).removeprefix(f"{shard}: ")
        else:
            found[shard] = said
        if progress is not None:
            progress(f"{len(found) + len(failed):,} of {len(shards):,}: {shard}")
    return (
        {shard: found[shard] for shard in shards if shard in found},
        {shard: failed[shard] for shard in shards if shard in failed},
    )
