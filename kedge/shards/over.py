"""All shards looked at, in an order that nothing depends on."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from kedge.shards.counter import Counter, in_turn

T = TypeVar("T")


def each_shard(
    shards: Sequence[str],
    count: Callable[[str], T],
    counter: Counter,
    progress: Callable[[str], None] | None,
    failed: dict[str, str],
) -> Iterator[tuple[str, T]]:
    """Every shard with what ``count`` says of it, as they are done; why one could not be looked at
    goes into ``failed``."""
    for done, (shard, said) in enumerate(counter(shards, count), 1):
        if isinstance(said, Exception):
            failed[shard] = str(said).removeprefix(f"{shard}: ")
        else:
            yield shard, said
        if progress is not None:
            progress(f"{done:,} of {len(shards):,}: {shard}")


def over_shards(
    shards: Sequence[str],
    count: Callable[[str], T],
    counter: Counter = in_turn,
    progress: Callable[[str], None] | None = None,
) -> tuple[dict[str, T], dict[str, str]]:
    """What ``count`` says of every shard, and why some could not be looked at; both in the order of
    ``shards``, whoever was done first."""
    failed: dict[str, str] = {}
    found = dict(each_shard(shards, count, counter, progress, failed))
    return (
        {shard: found[shard] for shard in shards if shard in found},
        {shard: failed[shard] for shard in shards if shard in failed},
    )
