"""Shards looked at by the workers of a Ray cluster."""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from importlib import import_module
from typing import Any, TypeVar

T = TypeVar("T")

_AHEAD = 4  # tasks that wait for every processor: enough to keep it busy
_RETRIES = 5  # of a task whose worker or machine is lost
AT_ONCE = 4  # joined by one task


class OnRay:
    """Looks at shards on a Ray cluster: ``over_shards(shards, count, OnRay())``.

    ``address``: of a cluster that runs ("auto", "ray://host:10001"); None starts one on this
    machine. Kedge must be installed on its machines, and shards be readable there. A task whose
    worker dies is run again; a shard that cannot be read is given back with its error.

    Errors: ``ImportError`` with what to install where Ray is absent, ``ConnectionError`` where no
    cluster answers.
    """

    def __init__(self, address: str | None = None) -> None:
        try:
            self._ray: Any = import_module("ray")
        except ImportError as error:
            raise ImportError("--on ray needs Ray: pip install 'kedge[ray]'") from error
        if not self._ray.is_initialized():
            self._ray.init(address=address, log_to_driver=False, include_dashboard=False)

    def __call__(
        self, shards: Sequence[str], count: Callable[[str], T]
    ) -> Iterator[tuple[str, T | Exception]]:
        """Every shard with what ``count`` says of it, as they are done."""
        task = self._ray.remote(max_retries=_RETRIES)(_counted)
        for shard, done in self._each(shards, lambda shard: task.remote(count, shard)):
            yield shard, self._said(done)

    def merged(
        self,
        shards: Sequence[str],
        count: Callable[[str], T],
        merge: Callable[[T, T], T],
        done: Callable[[str, Exception | None], None],
    ) -> T | None:
        """What the shards hold, merged by the workers in a tree, a few at a time: this process
        learns only whether a shard failed, and takes the root."""
        task = self._ray.remote(max_retries=_RETRIES, num_returns=2)(_counted_aside)
        join = self._ray.remote(max_retries=_RETRIES)(_joined)
        found: dict[Any, Any] = {}
        tree: list[list[Any]] = []  # of each level what still waits for others

        def start(shard: str) -> Any:
            told, held = task.remote(count, shard)
            found[told] = held
            return told

        for shard, told in self._each(shards, start):
            held, problem = found.pop(told), self._said(told)
            done(shard, problem)
            if problem is None:
                grow(tree, held, lambda few: join.remote(merge, *few))
        rest = [held for level in tree for held in level]
        return self._ray.get(join.remote(merge, *rest)) if rest else None

    def _each(
        self, shards: Sequence[str], start: Callable[[str], Any]
    ) -> Iterator[tuple[str, Any]]:
        """Every shard with its task, as they are done; a few wait for every processor."""
        most = _AHEAD * max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        waiting, running = list(reversed(shards)), {}
        while waiting or running:
            while waiting and len(running) < most:
                shard = waiting.pop()
                running[start(shard)] = shard
            [done], _ = self._ray.wait(list(running), num_returns=1)
            yield running.pop(done), done

    def _said(self, task: Any) -> Any:
        """What a task gave, or the error that ended it."""
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayError as problem:
            cause = getattr(problem, "cause", None)
            return cause if isinstance(cause, Exception) else problem


def grow(tree: list[list[T]], held: T, join: Callable[[list[T]], T]) -> None:
    """Puts one more into the lowest level; as many as are joined at once go up as one."""
    for level in tree:
        level.append(held)
        if len(level) < AT_ONCE:
            return
        held = join(level)
        level.clear()
    tree.append([held])


def _counted(count: Callable[[str], T], shard: str) -> T | Exception:
    """What a shard says, or its error: as a value, lest Ray report it as its own."""
    try:
        return count(shard)
    except (OSError, ValueError) as problem:
        return problem


def _counted_aside(count: Callable[[str], T], shard: str) -> tuple[Exception | None, T | Exception]:
    """The error of a shard, if any, and beside it what stays with the workers: who waits for the
    one has not the other."""
    said = _counted(count, shard)
    return (said if isinstance(said, Exception) else None), said


def _joined(merge: Callable[[T, T], T], *found: T) -> T:
    return reduce(merge, found)
