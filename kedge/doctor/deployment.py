"""What is known of objects at the input size where a detector is to work, and how it is said."""

from dataclasses import dataclass

import numpy as np

from kedge.counted import count
from kedge.doctor.finding import Finding, percent

SHARE = 0.95  # of the objects that are to be large enough


@dataclass(frozen=True, kw_only=True)
class SizeBand:
    """Objects whose short side has ``low`` to twice as many cells: ``share`` of all, and the
    ``recall`` of the run among its ``tried`` ones, None without a run."""

    low: float
    share: float
    tried: int
    recall: float | None

    @property
    def name(self) -> str:
        """``1-2 cells``."""
        return f"{self.low:g}-{2 * self.low:g} cells"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Objects at the input ``size`` (H, W), in cells of the finest ``stride``.

    ``smallest``, ``low``, ``middle``: short sides in cells, the least, the 5th percentile and the
    median. ``needed``: cells that an object needs, ``measured`` by the run or assumed.
    ``latency``: median seconds an image, ``ap`` on ``images`` images at this size; None without a
    run.
    """

    size: tuple[int, int]
    stride: float
    smallest: float
    low: float
    middle: float
    below: float
    bands: tuple[SizeBand, ...]
    needed: float
    measured: bool
    latency: float | None = None
    threads: int = 1
    ap: float | None = None
    images: int = 0

    @property
    def size_needed(self) -> tuple[int, int]:
        """The input (H, W), in whole steps of 32 px, at which 95 % of the objects are large
        enough for this stride."""
        rate = max(1.0, self.needed / max(self.low, 1e-6))
        height, width = (int(np.ceil(side * rate / 32 - 1e-6)) * 32 for side in self.size)
        return height, width

    @property
    def stride_needed(self) -> float:
        """The finest stride, a power of two, that is fine enough at this size."""
        fits = self.low * self.stride / self.needed
        return min(self.stride, float(2.0 ** np.floor(np.log2(max(fits, 1e-6)))))

    def lines(self) -> list[str]:
        """What there is to know, a line each."""
        height, width = self.size
        said = [
            f"deployed at {height} x {width}: the smallest object has {self.smallest:.2g} cells of "
            f"stride {self.stride:g} along its short side, 5 % have fewer than {self.low:.2g}, the "
            f"median {self.middle:.2g}"
        ]
        for band in self.bands:
            recall = "" if band.recall is None else f", recall {percent(band.recall)}"
            tried = "" if band.recall is None else f" of {band.tried}"
            said.append(f"  {band.name}: {percent(band.share)} of the objects{recall}{tried}")
        if self.latency is not None and self.ap is not None:
            said.append(
                f"{1000 * self.latency:.0f} ms an image here (CPU, threads: {self.threads}), AP "
                f"{self.ap:.3f} on {count(self.images, 'image')} at this size"
            )
        return [*said, self.advice]

    @property
    def advice(self) -> str:
        """What the target needs, in a sentence."""
        by = "as this run finds them from there on" if self.measured else "assumed"
        need = f"{self.needed:g} {'cell' if self.needed == 1 else 'cells'} ({by})"
        if self.below <= 1 - SHARE:
            return f"large enough: {percent(1 - self.below)} of the objects have {need}"
        height, width = self.size_needed
        return (
            f"too small: {percent(self.below)} of the objects have fewer than {need}; for "
            f"{percent(SHARE)} of them an input of {height} x {width}, or a stride of "
            f"{self.stride_needed:g}"
        )

    def finding(self) -> Finding:
        """The same as one of the doctor's findings."""
        small = self.below > 1 - SHARE
        height, width = self.size_needed
        return Finding(
            check="deployed_size",
            severity="warning" if small else "note",
            symptom=f"At {self.size[0]} x {self.size[1]} {self.advice}",
            evidence={
                "size": list(self.size), "stride": self.stride, "smallest_cells": self.smallest,
                "p5_cells": self.low, "median_cells": self.middle, "needed_cells": self.needed,
                "below_needed": self.below, "size_needed": [height, width],
                "stride_needed": self.stride_needed, "latency_s": self.latency,
                "AP": self.ap, "images": self.images,
                "by_size": [
                    {"cells": b.name, "share": b.share, "tried": b.tried, "recall": b.recall}
                    for b in self.bands
                ],
            },
            cause="An object that is smaller than a cell shares it with its surroundings.",
            cure=f"--image-size {height} {width}, or a detector whose finest stride is "
            f"{self.stride_needed:g}."
            if small
            else "Nothing to do.",
            unpredicted="recall at another size is measured by asking for it: --deploy",
        )  # fmt: skip
