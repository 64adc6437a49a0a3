"""Predictions that drift to one side: signed errors of the decoded boxes, and what they follow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding

_LEAST = 20
_SIDED = 0.05
_SURE = 4.0  # standard errors


def check(context: Context) -> list[Finding]:
    """The mean signed error of the centres is beyond chance and more than 5 % of a side."""
    probe = context.probe
    if probe is None or len(probe.boxes) < _LEAST:
        return []
    side = probe.truth[:, 2:] - probe.truth[:, :2]
    centre = (probe.truth[:, :2] + probe.truth[:, 2:]) / 2
    error = (probe.boxes[:, :2] + probe.boxes[:, 2:]) / 2 - centre
    relative = error / np.maximum(side, 1e-6)
    mean = relative.mean(axis=0)
    standard = relative.std(axis=0, ddof=1) / np.sqrt(len(relative))
    sided = (np.abs(mean) > _SIDED) & (np.abs(mean) > _SURE * standard)
    if not sided.any():
        return []
    axis = int(np.argmax(np.abs(mean) * sided))
    name, fit = _explain(error[:, axis], side[:, axis], centre[:, axis])
    words = (("left", "right"), ("up", "down"))
    directions = [words[i][int(mean[i] > 0)] for i in (0, 1) if sided[i]]
    pixels = np.median(error, axis=0)
    cause, cure = _cause(context, name, fit, pixels)
    mended = _mended(error, side, centre, name)
    return [
        Finding(
            check="one_sided_boxes",
            severity="error" if np.abs(mean).max() > 0.15 else "warning",
            symptom=f"Predicted boxes lie {' and '.join(directions)} of their objects: by "
            f"{mean[0]:+.0%} of the width, {mean[1]:+.0%} of the height "
            f"({pixels[0]:+.1f}, {pixels[1]:+.1f} px in the network's input)",
            evidence={
                "detections": len(relative),
                "images": probe.images,
                "mean_error_in_sides": mean.tolist(),
                "standard_error": standard.tolist(),
                "median_error_px": pixels.tolist(),
                "follows": name,
                "fit": fit,
            },
            cause=cause,
            cure=cure,
            predicted={
                "text": f"without the one-sided part the centres are off by {mended[1]:.2f} sides "
                f"on average in place of {mended[0]:.2f}",
                "mean_error_before": mended[0],
                "mean_error_after": mended[1],
            },
        )
    ]


_FORMS = ("a constant", "the size of the object", "the place in the image")


def _columns(side: NDArray[Any], centre: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return dict(zip(_FORMS, (np.ones_like(side), side, centre)))


def _explain(
    error: NDArray[Any], side: NDArray[Any], centre: NDArray[Any]
) -> tuple[str, dict[str, float]]:
    """Which of the three the error is proportional to: least squared residual, robustly."""
    best, chosen, found = np.inf, _FORMS[0], {}
    for name, column in _columns(side, centre).items():
        slope = _slope(error, column)
        rest = float(np.median(np.abs(error - slope * column)))
        found[name] = slope
        if rest < 0.98 * best:
            best, chosen = rest, name
    return chosen, {"slope": found[chosen], "rest_px": best}


def _slope(error: NDArray[Any], column: NDArray[Any]) -> float:
    """Weighted median of error / column: few bad matches do not move it."""
    ratio = error / np.where(np.abs(column) < 1e-6, 1e-6, column)
    order = np.argsort(ratio)
    weight = np.abs(column)[order].cumsum()
    return float(ratio[order][np.searchsorted(weight, weight[-1] / 2)])


def _mended(
    error: NDArray[Any], side: NDArray[Any], centre: NDArray[Any], name: str
) -> tuple[float, float]:
    rest = np.empty_like(error)
    for axis in (0, 1):
        column = _columns(side[:, axis], centre[:, axis])[name]
        rest[:, axis] = error[:, axis] - _slope(error[:, axis], column) * column
    before, after = (np.abs(e / np.maximum(side, 1e-6)).mean() for e in (error, rest))
    return float(before), float(after)


def _cause(
    context: Context, name: str, fit: dict[str, float], pixels: NDArray[Any]
) -> tuple[str, str]:
    setup, slope = context.setup, fit["slope"]
    if name == "the size of the object":
        if 0.35 <= abs(slope) <= 0.65:
            form = (
                "corners are written where centres belong"
                if slope < 0
                else ("centres are written where corners belong")
            )
            return (
                f"The boxes are off by half their size ({slope:+.2f}): xywh and cxcywh are mixed "
                f"up; {form if context.run is None else 'here or in what the run was trained on'}.",
                "Find the conversion of the annotations, and convert (x, y, w, h) with x, y the "
                "top left corner. `kedge report` shows the boxes on the images.",
            )
        return (
            f"The shift grows with the object ({slope:+.2f} of its side): one side of the boxes is "
            "drawn or predicted too short, or the objects were labelled in part.",
            "Look at the boxes on the images: kedge report.",
        )
    if name == "the place in the image":
        return (
            f"The shift grows with the distance from the corner of the image ({slope:+.1%}): "
            "images and boxes were resized by different factors.",
            "Use one size for both: the annotated width and height must be those of the files, and "
            "boxes must pass every transform that the image passes.",
        )
    stride = None if setup is None else min(setup.strides)
    there, back = (
        ", ".join(f"{sign * value:+.1f}" for value in pixels.tolist()) for sign in (1, -1)
    )
    half = stride is not None and any(  # an offset is that of both axes
        bool((np.abs(sign * pixels - stride / 2) < 0.1 * stride).all()) for sign in (1, -1)
    )
    if half:
        return (
            f"A constant shift of half a cell (stride {stride:g}): anchors are centred on their "
            "cells in one place and stand at the corner in another (offset 0.5 and 0).",
            "Use one offset for training and detection: Level(offset=0.5).",
        )
    return (
        f"All boxes are off by the same number of pixels, ({back}) from prediction to annotation: "
        "the annotations are shifted against the images (a crop or a border that the boxes did not "
        "follow), or padding is not undone.",
        f"Shift the annotations by ({there}) px in the network's input; or, where they are right, "
        f"the predictions by ({back}). Look at them first: kedge report.",
    )
