"""A detector where it is to work: are the objects large enough for its cells at that input size?"""

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kedge.detectors.detector import Detector
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent
from kedge.doctor.objects import as_seen, octave_of
from kedge.doctor.probe import few_images, match
from kedge.predict.detect import detect
from kedge.predict.score import score
from kedge.train.result import load_run

USUAL_STRIDE = 8.0  # where nothing says the detector's
NEEDED = 1.0  # cells along the short side, where no run says from which size on objects are found
_SHARE = 0.95  # of the objects that are to be large enough
_FOUND = 0.8  # of the best octave's recall counts as found
_IMAGES, _TIMED, _FEW = 100, 20, 10


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
                f"{self.ap:.3f} on {self.images} images at this size"
            )
        return [*said, self.advice]

    @property
    def advice(self) -> str:
        """What the target needs, in a sentence."""
        by = "as this run finds them from there on" if self.measured else "assumed"
        need = f"{self.needed:g} {'cell' if self.needed == 1 else 'cells'} ({by})"
        if self.below <= 1 - _SHARE:
            return f"large enough: {percent(1 - self.below)} of the objects have {need}"
        height, width = self.size_needed
        return (
            f"too small: {percent(self.below)} of the objects have fewer than {need}; for "
            f"{percent(_SHARE)} of them an input of {height} x {width}, or a stride of "
            f"{self.stride_needed:g}"
        )

    def finding(self) -> Finding:
        """The same as one of the doctor's findings."""
        small = self.below > 1 - _SHARE
        height, width = self.size_needed
        return Finding(
            check="deployed_size",
            severity="warning" if small else "note",
            symptom=f"At {self.size[0]} x {self.size[1]} {self.advice}",
            evidence={
                "size": list(self.size), "stride": self.stride, "smallest_cells": self.smallest,
                "p5_cells": self.low, "median_cells": self.middle, "needed_cells": self.needed,
                "below_needed": self.below, "size_needed": [height, width],
                "stride_needed": self.stride_needed, "latency_ms": _ms(self.latency),
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


def deploy(context: Context, size: tuple[int, int]) -> Deployment | None:
    """How the objects of the data meet the cells at the input ``size`` (H, W); with a run also its
    recall by size, AP and latency there. None without an object.

    Raises ``ValueError`` where the run's detector takes no images of this size.
    """
    stride = USUAL_STRIDE if context.setup is None else float(min(context.setup.strides))
    short = _short(as_seen(context.objects, size).fair.wh) / stride
    if len(short) == 0:
        return None
    tried: dict[str, Any] = {}
    recall: dict[int, tuple[int, float]] = {}
    if context.run is not None and context.run.has_weights:
        tried, recall = _try(context, size, stride)
    octave = octave_of(short)
    bands = tuple(
        SizeBand(
            low=2.0**value, share=float((octave == value).mean()),
            tried=recall.get(value, (0, 0.0))[0],
            recall=recall[value][1] if value in recall else None,
        )
        for value in np.unique(octave).tolist()
    )  # fmt: skip
    needed = _needed(bands)
    low, middle = np.percentile(short, (5, 50)).tolist()
    return Deployment(
        size=size, stride=stride, smallest=float(short.min()), low=low, middle=middle,
        below=float((short < (needed or NEEDED)).mean()), bands=bands, needed=needed or NEEDED,
        measured=needed is not None, **tried,
    )  # fmt: skip


def _short(wh: NDArray[Any]) -> NDArray[Any]:
    return wh.min(axis=1)


def _needed(bands: tuple[SizeBand, ...]) -> float | None:
    """From how many cells on the run finds what it finds best; None where too few were tried."""
    known = [band for band in bands if band.recall is not None and band.tried >= _FEW]
    best = max((band.recall or 0.0 for band in known), default=0.0)
    if best == 0:
        return None
    missed = [band for band in known if (band.recall or 0.0) < _FOUND * best]
    worse = [band.low for band in missed if band.low < max(b.low for b in known)]
    return 2 * max(worse) if worse else min(band.low for band in known)


def _try(
    context: Context, size: tuple[int, int], stride: float
) -> tuple[dict[str, Any], dict[int, tuple[int, float]]]:
    """Latency and AP of the run's detector at ``size``, and its recall by octave of cells."""
    assert context.run is not None
    run = load_run(context.run.folder)
    data = context.data if context.held_out is None else context.held_out
    part = few_images(data, context.seed, _IMAGES)
    if not part.records or tuple(run.classes) != part.classes:
        return {}, {}
    found = detect(run.detector, part, size, batch_size=8, device=torch.device("cpu"))
    seen = match(part, found, size)
    octave = octave_of(_short(seen.objects.wh) / stride)
    recall = {
        value: (int((octave == value).sum()), float(seen.found[octave == value].mean()))
        for value in np.unique(octave).tolist()
    }
    facts = {
        "latency": latency(run.detector, size), "threads": torch.get_num_threads(),
        "ap": float(score(found, part)["AP"]), "images": len(part.records),
    }  # fmt: skip
    return facts, recall


def latency(detector: Detector, size: tuple[int, int]) -> float:
    """Median seconds that a detector in evaluation takes for an image of (H, W) on the CPU."""
    images = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    seconds = []
    with torch.no_grad():
        for _ in range(_TIMED):
            start = time.perf_counter()
            detector(images)
            seconds.append(time.perf_counter() - start)
    return median(seconds)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds
