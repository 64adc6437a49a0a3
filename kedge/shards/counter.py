"""Who looks at shards: this process, one after another, or whoever has the same signature."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

T = TypeVar("T")


class Counter(Protocol):
    """Applies a function to every shard; in whatever order, a shard with what it holds or its
    error."""

    def __call__(
        self, shards: Sequence[str], count: Callable[[str], T]
    ) -> Iterator[tuple[str, T | Exception]]: ...


@runtime_checkable
class MergingCounter(Counter, Protocol):
    """One whose workers also merge what they found, so that a single sum comes back."""

    def merged(
        self,
        shards: Sequence[str],
        count: Callable[[str], T],
        merge: Callable[[T, T], T],
        done: Callable[[str, Exception | None], None],
    ) -> T | None:
        """What the shards hold, merged in any order and grouping; None where there is nothing.
        ``done`` is told of every shard, with its error where it failed."""
        ...


def in_turn(
    shards: Sequence[str], count: Callable[[str], T]
) -> Iterator[tuple[str, T | Exception]]:
    """One shard after another, in this process."""
    for shard in shards:
        try:
            yield shard, count(shard)
        except (OSError, ValueError) as problem:
            yield shard, problem
