"""Size bands and aspect ratios that the anchors miss."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kedge.doctor.anchor_checks.cures import design_command
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent
from kedge.doctor.objects import most_affected, octave_name, octave_of
from kedge.doctor.size_and_form import size_and_form

_HALF = 0.5
_MATTERS = 0.01


def check(context: Context) -> list[Finding]:
    """Octaves of size, and of h / w, in which fewer than half of the objects are covered, where
    size, or form, is what most of the others differ in."""
    setup = context.setup
    if setup is None or setup.points or len(context.fair) == 0:
        return []
    wh = context.fair.wh
    missed = ~context.answers.covered(setup.threshold)
    area, form = size_and_form(wh, setup.grid.shapes.numpy())
    differ = missed & (context.answers.aligned < setup.threshold)
    of_form = differ & (form < area)
    sizes = _Kind(
        "uncovered_sizes", "sizes", octave_of(context.fair.root_area), "px", missed & ~of_form
    )
    ratio = octave_of(wh[:, 1] / np.maximum(wh[:, 0], 1e-6))
    forms = _Kind("uncovered_aspect_ratios", "aspect ratios (h / w)", ratio, "", of_form)
    return [f for kind in (sizes, forms) for f in _missed(context, kind)]


class _Kind(NamedTuple):
    check: str
    what: str
    octave: NDArray[np.int64]
    unit: str
    to_blame: NDArray[np.bool_]  # (n,) objects missed because of what this is about


def _missed(context: Context, kind: _Kind) -> list[Finding]:
    setup, answers = context.setup, context.answers
    assert setup is not None
    covered = answers.covered(setup.threshold)
    table = coverage(kind.octave, covered, kind.unit)
    blamed = {
        row["octave"]: float(kind.to_blame[(kind.octave == row["octave"]) & ~covered].mean())
        for row in table
        if row["covered"] < _HALF
    }
    bad = [
        row for row in table if row["share"] >= _MATTERS and blamed.get(row["octave"], 0.0) >= _HALF
    ]
    if not bad:
        return []
    octaves = [row["octave"] for row in bad]
    hit = np.isin(kind.octave, octaves) & ~covered
    share = sum(row["share"] for row in bad)
    words = ", ".join(f"{row['band']} ({percent(row['covered'])})" for row in bad)
    predicted, why = _after_design(context, kind.unit, octaves)
    gains = predicted is not None and predicted["after"] > predicted["before"] + 0.05
    measure = _measure(context, kind.unit)
    return [
        Finding(
            check=kind.check,
            severity="warning" if gains or share > 0.1 else "note",
            symptom=f"Less than half of the objects of these {kind.what} are covered: {words}; "
            f"{percent(share)} of all objects are of them",
            evidence={
                **context.note_of_sample(),
                "covered_by_band": {row["band"]: row["covered"] for row in table},
                "share_by_band": {row["band"]: row["share"] for row in table},
                "missed_bands": [row["band"] for row in bad],
                "anchors_from_to": [float(measure.min()), float(measure.max())],
                "worst_images": most_affected(context.sample_names, context.fair.image[hit]),
            },
            cause=f"{_range(measure, kind.unit, octaves)} {_differ_in(context, hit)}",
            cure=design_command(context, context.designed)
            if gains
            else "Shapes alone do not mend it: see poorly_covered.",
            predicted=predicted if gains else None,
            unpredicted=why or "designed shapes gain less than 5 points here",
        )
    ]


def _measure(context: Context, unit: str) -> NDArray[np.float64]:
    """Size or h / w of every shape."""
    setup = context.setup
    assert setup is not None
    shapes = setup.grid.shapes.numpy().astype(np.float64)
    return np.sqrt(shapes.prod(1)) if unit else shapes[:, 1] / shapes[:, 0]


def _range(measure: NDArray[np.float64], unit: str, octaves: list[int]) -> str:
    """Where the missed bands lie relative to the anchors."""
    low, high = np.log2(measure.min()), np.log2(measure.max())
    below = [octave_name(o, unit) for o in octaves if o + 1 <= low]
    above = [octave_name(o, unit) for o in octaves if o >= high]
    span = f"{measure.min():.3g} to {measure.max():.3g} {unit}".rstrip()
    parts = [f"Anchors span {span} ({'square root of the area' if unit else 'h / w'})."]
    small, large = ("smaller", "larger") if unit else ("flatter", "taller")
    if below:
        parts.append(f"All anchors are {large} than {', '.join(below)}.")
    if above:
        parts.append(f"All anchors are {small} than {', '.join(above)}.")
    return " ".join(parts)


def _differ_in(context: Context, hit: NDArray[np.bool_]) -> str:
    """What the missed objects (n,) differ in from the anchors, in shares."""
    setup, answers = context.setup, context.answers
    assert setup is not None
    place = answers.aligned[hit] >= setup.threshold
    area, form = size_and_form(context.fair.wh[hit], setup.grid.shapes.numpy())
    size = ~place & (area <= form)
    parts = [
        (float(size.mean()), "differ more in size than in form"),
        (float((~place & ~size).mean()), "differ more in form than in size"),
        (float(place.mean()), "fit a shape, but stand too far from its cells' centres"),
    ]
    return "Of those not covered " + "; ".join(f"{percent(n)} {w}" for n, w in parts if n) + "."


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
    context: Context, unit: str, octaves: list[int]
) -> tuple[dict[str, Any] | None, str]:
    designed, setup = context.designed, context.setup
    assert setup is not None
    if designed is None:
        return None, "too few objects to design for"
    wh = designed.objects.wh
    value = designed.objects.root_area if unit else wh[:, 1] / np.maximum(wh[:, 0], 1e-6)
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
