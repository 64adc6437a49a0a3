"""A detector where it is to work: are the objects large enough for its cells at that input size?"""

import time
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kedge.detectors.detector import Detector
from kedge.doctor.context import Context
from kedge.doctor.deployment import Deployment, SizeBand
from kedge.doctor.objects import as_seen, octave_of
from kedge.doctor.probe import few_images, match
from kedge.predict.detect import detect
from kedge.predict.score import score
from kedge.train.saved import load_run

USUAL_STRIDE = 8.0  # where nothing says the detector's
NEEDED = 1.0  # cells along the short side, where no run says from which size on objects are found
_FOUND = 0.8  # of the best octave's recall counts as found
_IMAGES, _TIMED, _FEW = 100, 20, 10


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
