"""What the commands that look at shards share."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from kedge.commands.words import say


@contextmanager
def progress() -> Iterator[Callable[[str], None] | None]:
    """Tells on a terminal how many shards are done; elsewhere None."""
    if not sys.stderr.isatty():
        yield None
        return
    yield lambda line: print(f"\r\x1b[K{line}", end="", file=sys.stderr)
    print(file=sys.stderr)


def say_of_shards(
    said: Mapping[str, Sequence[str]], failed: Mapping[str, str], what: str = "not looked at"
) -> None:
    """What the readers had to say of shards, and which could not be looked at, and why."""
    say(f"{shard}: {line}" for shard, lines in said.items() for line in lines)
    say(f"{what}: {shard}: {reason}" for shard, reason in failed.items())


def all_sources(
    sources: Sequence[str], data: str | None, without: Mapping[str, object]
) -> list[str]:
    """What is named, as arguments and by --data; ``ValueError`` for nothing, and for flags that
    shards go ``without``, where they are given."""
    given = [flag for flag, value in without.items() if value is not None]
    if given:
        raise ValueError(f"{', '.join(given)}: not with --on, which looks at shards alone")
    named = _named(sources, data)
    if not named:
        raise ValueError("say which shards to look at: files, folders or globs")
    return named


def one_source(sources: Sequence[str], data: str | None, address: str | None) -> str | None:
    """The data set that is named; ``ValueError`` for several without --on."""
    if address is not None:
        raise ValueError("--address goes with --on ray")
    named = _named(sources, data)
    if len(named) > 1:
        raise ValueError(f"{', '.join(named)}: several sources go with --on stream or --on ray")
    return named[0] if named else None


def _named(sources: Sequence[str], data: str | None) -> list[str]:
    return [*sources, *([] if data is None else [data])]
