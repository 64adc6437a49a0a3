"""Whether one more level, finer than all others, would serve more objects."""

from kedge.doctor.anchor_checks.cures import design_command
from kedge.doctor.anchor_checks.options import finer, level_words
from kedge.doctor.answers import answer
from kedge.doctor.context import Context, design_for
from kedge.doctor.finding import Finding, percent

_GAIN = 0.02
_ENOUGH = 0.98


def check(context: Context) -> list[Finding]:
    """With designed shapes a finer level covers more objects than these levels do with them; or, of
    points, gives more objects a positive."""
    setup = context.setup
    if setup is None or len(context.fair) == 0 or setup.by_predictions:
        return []
    if setup.points:
        return _of_points(context)
    return _of_shapes(context) if setup.thresholded and setup.grid.num_levels > 1 else []


def _of_points(context: Context) -> list[Finding]:
    setup = context.setup
    assert setup is not None
    new = finer(setup)
    before = float((context.answers.positives > 0).mean())
    if new is None or before > _ENOUGH:
        return []
    after = float((answer(new, context.sample).positives > 0).mean())
    if after - before < _GAIN:
        return []
    cure = f"One more level: {level_words(new.grid.levels[0])}"
    return [_finding(context, cure, "have a positive", (before, after))]


def _of_shapes(context: Context) -> list[Finding]:
    setup, designed = context.setup, context.designed
    assert setup is not None
    new = finer(setup)
    if new is None or designed is None:
        return []
    kept = (designed.before, designed.after)
    before = max(float(one.covered(setup.threshold).mean()) for one in kept)
    found = design_for(new, context.sample, context.seed, restarts=2) if before <= _ENOUGH else None
    if found is None:
        return []
    after = float(found.after.covered(setup.threshold).mean())
    if after - before < _GAIN:
        return []
    what = f"reach IoU {setup.threshold:g} with designed shapes (images held out)"
    cure = f"One more level, with shapes of: {design_command(context, like=new)}"
    return [_finding(context, cure, what, (before, after))]


def _finding(context: Context, cure: str, what: str, share: tuple[float, float]) -> Finding:
    setup = context.setup
    assert setup is not None
    before, after = share
    finest = min(setup.strides)
    return Finding(
        check="finer_level",
        severity="warning" if after - before > 0.1 else "note",
        symptom=f"A level of stride {finest / 2:g} would serve {percent(after - before)} of the "
        "objects more",
        evidence={**context.note_of_sample(), "share_before": before, "share_after": after},
        cause=f"The finest cells, of stride {finest:g}, are large for these objects.",
        cure=cure,
        predicted={
            "text": f"{percent(before)} -> {percent(after)} of the objects {what}",
            "before": before,
            "after": after,
        },
    )
