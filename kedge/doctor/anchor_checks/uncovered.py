"""Size bands and aspect ratios that the anchors miss."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedge.doctor.anchor_checks.cures import design_command
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent
from kedge.doctor.objects import most_affected, octave_name, octave_of

_HALF = 0.5
_MATTERS = 0.01


def check(context: Context) -> list[Finding]:
    """Octaves of size, and of h / w, in which fewer than half of the objects are covered."""
    if context.setup is None or len(context.fair) == 0:
        return []
    wh = context.fair.wh
    groups = {
        "size": (octave_of(context.fair.root_area), "px"),
        "aspect_ratio": (octave_of(wh[:, 1] / np.maximum(wh[:, 0], 1e-6)), ""),
    }
    return [
        f for name, (octave, unit) in groups.items() for f in _missed(context, name, octave, unit)
    ]


def _missed(context: Context, name: str, octave: NDArray[np.int64], unit: str) -> list[Finding]:
    setup, answers = context.setup, context.answers
    assert setup is not None
    covered = answers.covered(setup.threshold)
    table = coverage(octave, covered, unit)
    overall = float(covered.mean())
    bad = [
        row
        for row in table
        if row["share"] >= _MATTERS and row["covered"] < _HALF and row["covered"] <= overall
    ]
    if not bad:
        return []
    hit = np.isin(octave, [row["octave"] for row in bad]) & ~covered
    share = sum(row["share"] for row in bad)
    words = ", ".join(f"{row['band']} ({percent(row['covered'])})" for row in bad[:4])
    what = "sizes" if name == "size" else "aspect ratios (h / w)"
    predicted, why = _after_design(context, name, [row["octave"] for row in bad])
    gains = predicted is not None and predicted["after"] > predicted["before"] + 0.05
    measure = _measure(context, name)
    kind = "uncovered_sizes" if name == "size" else "uncovered_aspect_ratios"
    return [
        Finding(
            check=kind,
            severity="warning" if gains or share > 0.1 else "note",
            symptom=f"The anchors miss most objects of some {what}: {words} covered; "
            f"{percent(share)} of all objects are of these {what}",
            evidence={
                **context.note_of_sample(),
                "covered_by_band": {row["band"]: row["covered"] for row in table},
                "share_by_band": {row["band"]: row["share"] for row in table},
                "missed_bands": [row["band"] for row in bad],
                "anchors_from_to": [float(measure.min()), float(measure.max())],
                "worst_images": most_affected(context.sample_names, context.fair.image[hit]),
            },
            cause=_cause(context, name, unit, [row["octave"] for row in bad]),
            cure=design_command(context, context.designed)
            if gains
            else "Shapes alone do not mend it: "
            + (
                "larger images (--image-size) or a level of smaller stride."
                if name == "size"
                else "add shapes (a larger --k), or lower the positive threshold."
            ),
            predicted=predicted,
            unpredicted=why,
        )
    ]


def _measure(context: Context, name: str) -> NDArray[np.float64]:
    """Size or h / w of every shape."""
    setup = context.setup
    assert setup is not None
    shapes = setup.grid.shapes.numpy().astype(np.float64)
    return np.sqrt(shapes.prod(1)) if name == "size" else shapes[:, 1] / shapes[:, 0]


def _cause(context: Context, name: str, unit: str, octaves: list[int]) -> str:
    """Where the missed bands lie relative to the anchors."""
    setup, measure = context.setup, _measure(context, name)
    assert setup is not None
    low, high = np.log2(measure.min()), np.log2(measure.max())
    below = [octave_name(o, unit) for o in octaves if o + 1 <= low]
    above = [octave_name(o, unit) for o in octaves if o >= high]
    among = [octave_name(o, unit) for o in octaves if o + 1 > low and o < high]
    what = "square root of the area" if name == "size" else "h / w"
    text = f"Anchors span {measure.min():.3g} to {measure.max():.3g} {unit}".rstrip()
    parts = [f"{text} ({what})."]
    small, large = ("smaller", "larger") if name == "size" else ("flatter", "taller")
    if below:
        parts.append(
            f"No anchor is small enough for {', '.join(below)}."
            if name == "size"
            else f"All anchors are {large} than {', '.join(below)}."
        )
    if above:
        parts.append(
            f"No anchor is large enough for {', '.join(above)}."
            if name == "size"
            else f"All anchors are {small} than {', '.join(above)}."
        )
    if among:
        gap = " or their cells stand too far apart" if setup.thresholded else ""
        parts.append(f"For {', '.join(among)} the shapes differ too much{gap}.")
    return " ".join(parts)


def coverage(
    octave: NDArray[np.int64], covered: NDArray[np.bool_], unit: str
) -> list[dict[str, Any]]:
    """Share of the objects and share covered, by octave."""
    rows = []
    for value in np.unique(octave).tolist():
        mine = octave == value
        rows.append(
            {
                "octave": value,
                "band": octave_name(value, unit),
                "share": float(mine.mean()),
                "objects": int(mine.sum()),
                "covered": float(covered[mine].mean()),
            }
        )
    return rows


def _after_design(
    context: Context, name: str, octaves: list[int]
) -> tuple[dict[str, Any] | None, str]:
    designed, setup = context.designed, context.setup
    assert setup is not None
    if designed is None:
        return None, "too few objects to design for"
    wh = designed.objects.wh
    value = designed.objects.root_area if name == "size" else wh[:, 1] / np.maximum(wh[:, 0], 1e-6)
    mine = np.isin(octave_of(value), octaves)
    if not mine.any():
        return None, "none of these objects are in the images held out"
    before = float(designed.before.covered(setup.threshold)[mine].mean())
    after = float(designed.after.covered(setup.threshold)[mine].mean())
    return {
        "text": f"with designed shapes {percent(before)} -> {percent(after)} of these objects are "
        "covered (images held out)",
        "before": before,
        "after": after,
    }, ""
