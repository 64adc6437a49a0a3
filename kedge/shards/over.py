"""All shards looked at, in an order that nothing depends on."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from kedge.shards.counter import Counter, MergingCounter, in_turn

T = TypeVar("T")
Progress = Callable[[str], None]


def over_shards(
    shards: Sequence[str],
    count: Callable[[str], T],
    counter: Counter = in_turn,
    progress: Progress | None = None,
) -> tuple[dict[str, T], dict[str, str]]:
    """What ``count`` says of every shard, and why some could not be looked at; both in the order of
    ``shards``, whoever was done first."""
    found: dict[str, T] = {}
    tally = _Tally(shards, progress)
    for shard, said in counter(shards, count):
        if isinstance(said, Exception):
            tally(shard, said)
        else:
            found[shard] = said
            tally(shard, None)
    return {shard: found[shard] for shard in shards if shard in found}, tally.failed


def merge_shards(
    shards: Sequence[str],
    count: Callable[[str], T],
    merge: Callable[[T, T], T],
    counter: Counter = in_turn,
    progress: Progress | None = None,
) -> tuple[T | None, dict[str, str]]:
    """What ``count`` says of all shards, merged as they come, by the workers where they can; and
    why some could not be looked at.

    ``merge`` must not mind order and grouping. None where there is nothing to merge.
    """
    tally = _Tally(shards, progress)
    if isinstance(counter, MergingCounter):
        return counter.merged(shards, count, merge, tally), tally.failed
    total = None
    for shard, said in counter(shards, count):
        if isinstance(said, Exception):
            tally(shard, said)
        else:
            total = said if total is None else merge(total, said)
            tally(shard, None)
    return total, tally.failed


class _Tally:
    """Tells of each shard that is done, and keeps why some failed."""

    def __init__(self, shards: Sequence[str], progress: Progress | None) -> None:
        self._shards, self._progress = shards, progress
        self._done, self._why = 0, {}

    def __call__(self, shard: str, problem: Exception | None) -> None:
        self._done += 1
        if problem is not None:
            self._why[shard] = str(problem).removeprefix(f"{shard}: ")
        if self._progress is not None:
            self._progress(f"{self._done:,} of {len(self._shards):,}: {shard}")

    @property
    def failed(self) -> dict[str, str]:
        """Why each that failed did, in the order of the shards."""
        return {shard: self._why[shard] for shard in self._shards if shard in self._why}
