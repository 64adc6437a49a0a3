"""Shards looked at by the workers of a Ray cluster."""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, TypeVar

T = TypeVar("T")

_AHEAD = 4  # tasks that wait for every processor: enough to keep it busy
_RETRIES = 5  # of a task whose worker or machine is lost


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
            ray = self._ray = import_module("ray")
        except ImportError as error:
            raise ImportError("--on ray needs Ray: pip install 'kedge[ray]'") from error
        if not ray.is_initialized():
            ray.init(address=address, log_to_driver=False, include_dashboard=False)

    def __call__(
        self, shards: Sequence[str], count: Callable[[str], T]
    ) -> Iterator[tuple[str, T | Exception]]:
        """Every shard with what ``count`` says of it, as they are done."""
        ray: Any = self._ray
        task = ray.remote(max_retries=_RETRIES)(_counted)
        most = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting, running = list(reversed(shards)), {}
        while waiting or running:
            while waiting and len(running) < most:
                shard = waiting.pop()
                running[task.remote(count, shard)] = shard
            [done], _ = ray.wait(list(running), num_returns=1)
            shard = running.pop(done)
            try:
                yield shard, ray.get(done)
            except ray.exceptions.RayError as problem:
                cause = getattr(problem, "cause", None)
                yield shard, cause if isinstance(cause, Exception) else problem


def _counted(count: Callable[[str], T], shard: str) -> T:
    return count(shard)
