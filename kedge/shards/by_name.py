"""``--on stream`` and ``--on ray``."""

from kedge.shards.counter import Counter, in_turn
from kedge.shards.on_ray import OnRay


def counter_of(on: str, address: str | None = None) -> Counter:
    """Who looks at shards: "stream", this process, or "ray", the workers of the cluster at
    ``address`` (None: one that is started on this machine).

    Errors: ``ValueError`` for an address without Ray; those of ``OnRay``.
    """
    if address is not None and on != "ray":
        raise ValueError("--address goes with --on ray")
    return OnRay(address) if on == "ray" else in_turn
