"""Differences of runs that share a seed, and how certain their mean is."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from kedge.counted import count

RESAMPLES = 10_000


class Difference(NamedTuple):
    """``mean`` of the differences of ``pairs`` runs, and a 95 % interval of it."""

    mean: float
    low: float
    high: float
    pairs: int

    @property
    def verdict(self) -> str:
        """``+``, ``-``, or ``~`` where the interval holds 0, or there are too few pairs to tell."""
        if self.pairs < 3 or self.low <= 0 <= self.high:
            return "~"
        return "+" if self.low > 0 else "-"

    def __str__(self) -> str:
        if self.pairs < 3:
            return f"{self.mean:+.1f} ({count(self.pairs, 'seed')}: no interval)"
        return f"{self.mean:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


def bootstrap(differences: Sequence[float], seed: int = 0) -> Difference:
    """The mean, and the 2.5 and 97.5 percentiles of the means of as many drawn with replacement.

    With three or four seeds the interval is narrower than a true one would be: read a bound near 0
    as no difference.
    """
    values = np.asarray(differences, np.float64)
    drawn = np.random.default_rng(seed).choice(values, (RESAMPLES, len(values)))
    low, high = np.percentile(drawn.mean(1), [2.5, 97.5])
    return Difference(float(values.mean()), float(low), float(high), len(values))


def paired(
    rows: Sequence[dict[str, Any]],
    one: Callable[[dict[str, Any]], bool],
    other: Callable[[dict[str, Any]], bool],
    score: str = "AP50",
) -> Difference | None:
    """``one`` minus ``other``, in points, over the seeds that both have; None without any."""
    first = {row["seed"]: 100 * row["scores"][score] for row in rows if one(row)}
    second = {row["seed"]: 100 * row["scores"][score] for row in rows if other(row)}
    shared = sorted(first.keys() & second.keys())
    return bootstrap([first[s] - second[s] for s in shared]) if shared else None
