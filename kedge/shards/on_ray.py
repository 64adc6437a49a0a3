"""Shards counted by the workers of a Ray cluster."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from kedge.design.statistics import Count, Shard

_AHEAD = 4  # tasks that wait for every processor: enough to keep it busy
_RETRIES = 5  # of a task whose worker or machine is lost


class OnRay:
    """Counts shards on a Ray cluster: ``count_shards(shards, count, OnRay())``.

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
        self, shards: Sequence[str], count: Count
    ) -> Iterator[tuple[str, Shard | Exception]]:
        """Every shard with what it holds, as they are done."""
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


def _counted(count: Count, shard: str) -> Shard:
    return count(shard)
