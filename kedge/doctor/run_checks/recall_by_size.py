"""Does the detector miss just what its anchors miss? Recall against coverage, by size."""

from typing import Any

import numpy as np

from kedge.doctor.anchor_checks.cures import design_command
from kedge.doctor.answers import answer
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent
from kedge.doctor.objects import BANDS, band_of, octave_name, octave_of

_LOW = 0.5
_MATTERS = 0.02
_UNTAUGHT = 0.2  # of a size: so many objects without an anchor, and the rule is the cause
_NO_GAIN = "as many designed shapes cover no more of these sizes"


def check(context: Context) -> list[Finding]:
    """Size bands whose recall is far below the best band's, beside the anchors' coverage there."""
    if context.run is None or context.setup is None or len(context.fair) == 0:
        return []
    table = _from_probe(context) or _from_scores(context)
    table = [row for row in table if row["share"] >= _MATTERS]
    if len(table) < 2:
        return []
    best = max(row["recall"] for row in table)
    missed = [row for row in table if row["recall"] < _LOW * best]
    if best < 0.05 or not missed:
        return []
    blind = [row for row in missed if row["covered"] < _LOW]
    recall, covered = (np.array([row[k] for row in table]) for k in ("recall", "covered"))
    together = _correlation(recall, covered)
    words = ", ".join(f"{row['band']} (recall {percent(row['recall'])})" for row in missed)
    anchors = bool(blind) and len(blind) >= len(missed) / 2
    smaller = table.index(missed[0]) < max(range(len(table)), key=lambda i: table[i]["recall"])
    untaught = [row for row in missed if row["answered"] < 1 - _UNTAUGHT]
    named = ", ".join(f"{row['band']} ({percent(row['covered'])} covered)" for row in blind)
    predicted, why = (
        _predicted(context, [row["key"] for row in blind])
        if anchors
        else (None, "the anchors cover these sizes: shapes are not the limit")
    )
    return [
        Finding(
            check="missed_sizes",
            severity="error" if anchors else "warning",
            symptom=f"Objects of some sizes are missed: {words}; the best band has {percent(best)}",
            evidence={
                "by_size": [{k: v for k, v in row.items() if k != "key"} for row in table],
                "correlation_of_recall_and_coverage": together,
                "missed": [row["band"] for row in missed],
                "not_covered_by_anchors": [row["band"] for row in blind],
            },
            cause=f"The detector misses exactly what its anchors miss: {named}."
            if anchors
            else _no_matter_of_shapes(untaught, smaller),
            cure=_cure(context, why) if anchors else _other_cure(untaught, smaller),
            predicted=predicted,
            unpredicted=why if predicted is None else "",
        )
    ]


def _no_matter_of_shapes(untaught: list[dict[str, Any]], smaller: bool) -> str:
    """Why objects that the anchors cover are missed: the rule, or none of both."""
    if untaught:
        left = ", ".join(f"{percent(1 - row['answered'])} of {row['band']}" for row in untaught)
        return f"The rule leaves objects of these sizes without an anchor: {left}."
    pixels = ", too few pixels (image size, stride)" if smaller else ""
    return (
        "The anchors cover these sizes, so they are not the cause: too few "
        f"examples{pixels}, or too short a training."
    )


def _other_cure(untaught: list[dict[str, Any]], smaller: bool) -> str:
    if untaught:
        return "The rule has to answer for them first: see no_positive."
    first = "--image-size larger" if smaller else "--epochs more"
    return f"{first}, or more images with objects of these sizes."


def _cure(context: Context, why: str) -> str:
    if why == _NO_GAIN:
        return "Shapes alone do not mend it: see poorly_covered."
    return design_command(context, context.designed)


def _from_probe(context: Context) -> list[dict[str, Any]]:
    """By octave of size in the network's input, from detections."""
    probe, setup = context.probe, context.setup
    if probe is None or setup is None or len(probe.objects) == 0:
        return []
    found = answer(setup, probe.objects)
    best, answered = found.best, found.positives > 0
    octave = octave_of(probe.objects.root_area)
    return [
        {
            "key": value,
            "band": octave_name(value),
            "share": float((octave == value).mean()),
            "objects": int((octave == value).sum()),
            "recall": float(probe.found[octave == value].mean()),
            "covered": float((best[octave == value] >= setup.threshold).mean()),
            "answered": float(answered[octave == value].mean()),
        }
        for value in np.unique(octave).tolist()
    ]


def _from_scores(context: Context) -> list[dict[str, Any]]:
    """By COCO's bands (areas in the original image), from the recall that the run measured."""
    run, setup = context.run, context.setup
    assert run is not None
    assert setup is not None
    scores = {} if run.result is None else run.result.scores
    band = band_of(context.objects.of_images(context.chosen).fair.root_area)
    covered = context.answers.covered(setup.threshold)
    rows = []
    for i, name in enumerate(BANDS):
        recall, mine = scores.get(f"AR{name[0]}"), band == i
        if recall is not None and mine.any():
            rows.append(
                {
                    "key": name,
                    "band": name,
                    "share": float(mine.mean()),
                    "objects": int(mine.sum()),
                    "recall": float(recall),
                    "covered": float(covered[mine].mean()),
                    "answered": float((context.answers.positives > 0)[mine].mean()),
                }
            )
    return rows


def _correlation(a: Any, b: Any) -> float | None:
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _predicted(context: Context, keys: list[Any]) -> tuple[dict[str, Any] | None, str]:
    designed, setup = context.designed, context.setup
    assert setup is not None
    if designed is None:
        return None, "too few objects to design for"
    side = designed.objects.root_area
    names = np.array(BANDS)[band_of(side)] if isinstance(keys[0], str) else octave_of(side)
    mine = np.isin(names, keys)
    if not mine.any():
        return None, "none of these objects are in the images held out"
    before = float(designed.before.covered(setup.threshold)[mine].mean())
    after = float(designed.after.covered(setup.threshold)[mine].mean())
    if after <= before:
        return None, _NO_GAIN
    return {
        "text": f"with designed anchors {percent(before)} -> {percent(after)} of the objects of "
        "these sizes are covered (images held out)",
        "covered_before": before,
        "covered_after": after,
    }, ""
