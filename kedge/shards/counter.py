"""Who looks at shards: this process, one after another, or whoever has the same signature."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Counter(Protocol):
    """Applies a function to every shard; in whatever order, a shard with what it holds or its
    error."""

    def __call__(
        self, shards: Sequence[str], count: Callable[[str], T]
    ) -> Iterator[tuple[str, T | Exception]]: ...


def in_turn(
    shards: Sequence[str], count: Callable[[str], T]
) -> Iterator[tuple[str, T | Exception]]:
    """One shard after another, in this process."""
    for shard in shards:
        try:
            yield shard, count(shard)
        except (OSError, ValueError) as problem:
            yield shard, problem
