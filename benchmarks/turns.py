"""Calls timed in turns, so that whatever else the machine does falls on all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext


def in_turns(
    calls: Mapping[str, Callable[[], object]],
    turns: int,
    inside: Mapping[str, Callable[[], AbstractContextManager]] | None = None,
) -> dict[str, float]:
    """Median ms of processor time of every call, as ``"<name> ms"``; the first turn warms up.

    ``inside``: what a call is made in, which is not timed.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(turns + 1):
        for name, call in calls.items():
            with (inside or {}).get(name, nullcontext)():
                start = time.process_time()
                call()
                spent = time.process_time() - start
            if turn:
                times[name].append(1e3 * spent)
    return {f"{name} ms": statistics.median(spent) for name, spent in times.items()}
