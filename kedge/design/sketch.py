"""Box statistics of constant size: a 2-D histogram over log w x log h with exact sums in each bin.

One pass over any number of boxes; two sketches merge into the sketch of all their boxes, in any
order and grouping and to the last bit, so parts can be counted on different machines. Every bin
keeps its count and the sums of w, h, log2 w and log2 h, so means (and k-means updates) over bins
are exact, not bin centres.

That no order of adding shows comes from what is added: sides rounded to single precision, and
logarithms to 2^-20. Within a bin all of these are small multiples of one number, so that double
precision holds the sum of half a billion of them without rounding. Boxes with fractional weights
are the exception: their sums are rounded.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

SPAN = 1024  # bins a side: 32 octaves at 32 bins an octave
LOWEST = -16  # log2 of the smallest side that has a bin of its own; smaller ones share the first
CELLS = SPAN * SPAN
_DENSE = 4_000_000  # largest table that is cheaper to count densely than to sort
_MANY = 1_000_000  # boxes from which each class is counted by itself: it stays in the cache
BINS_PER_OCTAVE = 32
LOG_STEP = 2.0**-20  # logarithms to the base of 2 are whole multiples of it

FIELDS = ("count", "w", "h", "log_w", "log_h")
_FORM = 2  # of a saved sketch


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """Occupied bins and their sums. Build it with ``Sketch.of``; join two with ``+``.

    ``keys`` (m,) int64, ascending: ``((label + 1) * 1024 + bin of w) * 1024 + bin of h``, label -1
    where classes are not told apart. ``sums`` (m, 5) float64: count, sum of w, h, log2 w and
    log2 h. ``dropped``: boxes left out because a side is not a positive finite
    number.
    """

    keys: np.ndarray
    sums: np.ndarray
    dropped: int = 0

    @staticmethod
    def empty() -> "Sketch":
        """The sketch of no boxes: merging it changes nothing."""
        return Sketch(np.empty(0, np.int64), np.empty((0, len(FIELDS))), 0)

    @staticmethod
    def of(wh: Any, label: Any = None, weight: Any = None) -> "Sketch":
        """The sketch of boxes ``wh`` (n, 2), any array; optional ``label`` (n,) and ``weight``
        (n,).

        NaN, infinite, zero and negative sides are counted in ``dropped`` and otherwise ignored.
        """
        w, h = _sides(wh)
        good = usable(w, h)
        dropped = int(len(good) - np.count_nonzero(good))
        count = None if weight is None else np.asarray(weight, np.float64)
        group = None if label is None else np.asarray(label, np.int64) + 1
        if dropped:
            w, h = w[good], h[good]
            count = None if count is None else count[good]
            group = None if group is None else group[good]
        if group is None or len(group) < _MANY:
            keys, sums = _count(w, h, count, group)
        else:
            keys, sums = _count_each_label(w, h, count, group)
        return Sketch(keys, sums, dropped)

    def __add__(self, other: "Sketch") -> "Sketch":
        """The sketch of both sets of boxes."""
        for one, more in ((self, other), (other, self)):
            if not len(one):
                return replace(more, dropped=self.dropped + other.dropped)
        keys = np.concatenate([self.keys, other.keys])
        keys.sort(kind="stable")  # two ascending runs: one walk through both
        first = np.ones(len(keys), bool)
        first[1:] = keys[1:] != keys[:-1]
        keys = keys[first]
        sums = np.zeros((len(keys), len(FIELDS)))
        sums[np.searchsorted(keys, self.keys)] = self.sums
        sums[np.searchsorted(keys, other.keys)] += other.sums  # keys of a sketch are unique
        return Sketch(keys, sums, self.dropped + other.dropped)

    def __mul__(self, factor: float) -> "Sketch":
        """The same boxes, each ``factor`` times; no box is dropped more often."""
        return replace(self, sums=self.sums * factor)

    def __len__(self) -> int:
        """Number of occupied bins."""
        return len(self.keys)

    @property
    def count(self) -> float:
        """Number of boxes (sum of weights)."""
        return float(self.sums[:, 0].sum())

    @property
    def labels(self) -> tuple[int, ...]:
        """Class indices present; (-1,) when classes are not told apart."""
        return tuple(int(x) - 1 for x in np.unique(self.keys // CELLS))

    def of_label(self, label: int) -> "Sketch":
        """The part of one class."""
        start, end = np.searchsorted(self.keys, [(label + 1) * CELLS, (label + 2) * CELLS])
        return Sketch(self.keys[start:end], self.sums[start:end], 0)

    def without_labels(self) -> "Sketch":
        """All classes together."""
        if len(self.keys) == 0 or self.keys[0] // CELLS == self.keys[-1] // CELLS:
            return Sketch(self.keys % CELLS, self.sums, self.dropped)  # of one class at most
        keys, sums = _combine(self.keys % CELLS, self.sums)
        return Sketch(keys, sums, self.dropped)

    def points(self, bins_per_octave: int = BINS_PER_OCTAVE) -> tuple[Tensor, Tensor]:
        """Mean box (m, 2) and weight (m,), both float32, of every occupied bin, classes together.

        ``bins_per_octave`` must divide 32; fewer merge neighbouring bins, with exact sums still.
        """
        step = _step(bins_per_octave)
        ix, iy = (self.keys % CELLS) // SPAN, self.keys % SPAN
        _, sums = _combine((ix // step) * SPAN + iy // step, self.sums)
        mean = sums[:, 1:3] / sums[:, :1]
        return torch.from_numpy(mean).float(), torch.from_numpy(sums[:, 0].copy()).float()


def as_array(values: Any) -> np.ndarray:
    """A NumPy array of a tensor (any device), array or nested sequence."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _sides(wh: Any) -> tuple[np.ndarray, np.ndarray]:
    array = as_array(wh)
    if array.size == 0:
        return np.empty(0), np.empty(0)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"wh: expected (n, 2) widths and heights, got shape {array.shape}")
    with np.errstate(over="ignore"):
        w, h = np.ascontiguousarray(array.T, np.float32).astype(np.float64)
    return w, h


def _step(bins_per_octave: int) -> int:
    if bins_per_octave < 1 or BINS_PER_OCTAVE % bins_per_octave:
        raise ValueError(f"bins_per_octave: expected a divisor of 32, got {bins_per_octave}")
    return BINS_PER_OCTAVE // bins_per_octave


def _bin(log2: np.ndarray) -> np.ndarray:
    index = np.floor((log2 - LOWEST) * BINS_PER_OCTAVE).astype(np.int64)
    return np.clip(index, 0, SPAN - 1)


def usable(w: np.ndarray, h: np.ndarray) -> np.ndarray:
    """(n,) whether both sides are positive finite numbers."""
    return (w > 0) & (h > 0) & (w < np.inf) & (h < np.inf)


def cells_and_logs(w: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) bin of w * 1024 + bin of h, and the logarithms that are added up; sides are usable."""
    log_w, log_h = np.log2(w), np.log2(h)
    cells = _bin(log_w) * SPAN + _bin(log_h)
    return cells, np.rint(log_w / LOG_STEP) * LOG_STEP, np.rint(log_h / LOG_STEP) * LOG_STEP


def _count(
    w: np.ndarray, h: np.ndarray, count: np.ndarray | None, group: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Occupied bins and their sums; every box counts 1 without ``count``."""
    keys, log_w, log_h = cells_and_logs(w, h)
    if group is not None:
        keys += group * CELLS
    keys, index = _index(keys)
    boxes = np.bincount(index, minlength=len(keys))
    found = np.flatnonzero(boxes)
    first = boxes if count is None else np.bincount(index, count, len(keys))
    sums = np.empty((len(found), len(FIELDS)))
    sums[:, 0] = first[found]
    for column, values in enumerate((w, h, log_w, log_h), 1):
        weighted = values if count is None else values * count
        sums[:, column] = np.bincount(index, weighted, len(keys))[found]
    return keys[found], sums


def _count_each_label(
    w: np.ndarray, h: np.ndarray, count: np.ndarray | None, group: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``_count`` of many boxes, one label after the other."""
    small = group.astype(np.uint16) if group.max() < 1 << 16 else group  # sorted ten times faster
    order = np.argsort(small, kind="stable")
    ordered = small[order]
    starts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    found = []
    for rows in np.split(order, starts):
        keys, sums = _count(w[rows], h[rows], None if count is None else count[rows], None)
        found.append((keys + group[rows[0]] * CELLS, sums))
    return np.concatenate([keys for keys, _ in found]), np.concatenate([sums for _, sums in found])


def _combine(keys: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add up the rows of ``sums`` that share a key."""
    keys, index = _index(keys)
    columns = [np.bincount(index, sums[:, i], len(keys)) for i in range(sums.shape[1])]
    found = np.bincount(index, minlength=len(keys)) > 0
    return keys[found], np.stack(columns, 1)[found]


def _index(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ascending candidate keys and each key's place among them: all bins of the box that holds
    the keys, where they are few.
    """
    if len(keys) == 0:
        return keys, keys
    parts = [keys // CELLS, keys // SPAN % SPAN, keys % SPAN]  # label, bin of w, bin of h
    low = [int(part.min()) for part in parts]
    ends = [int(part.max()) + 1 for part in parts]
    size = [end - start for start, end in zip(low, ends)]
    if math.prod(size) > max(_DENSE, 2 * len(keys)):
        return np.unique(keys, return_inverse=True)
    label, x, y = (part - start for part, start in zip(parts, low))
    label_, x_, y_ = np.ogrid[tuple(slice(start, end) for start, end in zip(low, ends))]
    every = (label_ * SPAN + x_) * SPAN + y_
    return every.reshape(-1), (label * size[1] + x) * size[2] + y
