"""Boxes added up without end: what a sketch is made of where they do not fit into memory."""

import numpy as np

from kedge.design.sketch import CELLS, FIELDS, Sketch, cells_and_logs, usable

_ROWS = 1 << 16  # at a time: what is made on the way stays in the processor's cache


class Tally:
    """Sums of all bins, in one table; of boxes with classes, whose bins are many, a sketch."""

    def __init__(self) -> None:
        self._table = np.zeros((len(FIELDS), CELLS))
        self._dropped = 0
        self._by_class = Sketch.empty()

    def add(self, w: np.ndarray, h: np.ndarray, label: np.ndarray | None = None) -> None:
        """Sides (n,) of boxes, and their classes (n,) from 0, or -1. With classes a few millions
        at a time are faster than many small parts.
        """
        if label is not None:
            self._by_class += Sketch.of(np.stack([w, h], 1), label)
            return
        for start in range(0, len(w), _ROWS):
            sides = [side[start : start + _ROWS].astype(np.float32) for side in (w, h)]
            good = usable(*sides)
            self._dropped += int(np.count_nonzero(~good))
            w_, h_ = (side[good].astype(np.float64) for side in sides)
            cells, log_w, log_h = cells_and_logs(w_, h_)
            for sums, values in zip(self._table, (1.0, w_, h_, log_w, log_h)):
                np.add.at(sums, cells, values)

    def sketch(self) -> Sketch:
        """The sketch of all boxes so far."""
        found = np.flatnonzero(self._table[0])
        plain = Sketch(found, np.ascontiguousarray(self._table[:, found].T), self._dropped)
        return plain + self._by_class
