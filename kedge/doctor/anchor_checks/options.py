"""Cures whose effect is computed before they are recommended: those without any are not named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.assign.by_name import said
from kedge.assign.guaranteed import Guaranteed
from kedge.assign.tal import TAL
from kedge.doctor.context import Context
from kedge.doctor.finding import percent
from kedge.doctor.objects import Objects, as_seen
from kedge.doctor.setup import Setup
from kedge.parts import text_of
from kedge.types import Assigner

_FINEST = 4.0  # no detector here predicts on a finer map
_WORTH = 0.5  # of the best gain: what gains less is not worth naming
_LEAST = 0.1  # of what is wrong: what mends less is no cure


@dataclass(frozen=True, kw_only=True)
class Option:
    """A change in ``words`` of a command line or of Python, and what it makes of data: ``setup``
    and the ``objects`` that meet it."""

    words: str
    setup: Setup
    objects: Objects


def options(context: Context) -> list[Option]:
    """What can be changed about a setup, the cheapest first."""
    setup = context.setup
    assert setup is not None
    found = [*_of_the_rule(setup, context.sample), *_finer(setup, context.sample)]
    size = (2 * setup.image_size[0], 2 * setup.image_size[1])
    part = as_seen(context.objects, size).of_images(context.chosen)
    words = f"a larger input: --image-size {size[0]} {size[1]}"
    return [*found, Option(words=words, setup=setup.at(size), objects=part)]


def _of_the_rule(setup: Setup, objects: Objects) -> list[Option]:
    rule, stride = setup.base, min(setup.strides)
    if setup.by_iou is not None and setup.by_iou.low_quality == "own":
        words = 'MaxIoU(low_quality="rescuer"), as MMDetection does: a rescued anchor serves the '
        words += "object that rescued it"
        new = replace(setup.by_iou, low_quality="rescuer")
    elif isinstance(rule, TAL) and rule.min_side < stride:
        words = f"TAL(min_side={stride:g}): smaller sides are raised to a cell's when candidates "
        words += "are looked for"
        new = replace(rule, min_side=stride)
    else:
        return []
    return [Option(words=words, setup=setup.with_rule(new), objects=objects)]


def guaranteed(setup: Setup, objects: Objects) -> list[Option]:
    """The last resort: an anchor for every object that the rule leaves without; none where that is
    promised already."""
    if isinstance(setup.assign, Guaranteed):
        return []
    new = replace(setup, assign=Guaranteed(strategy=setup.assign))
    words = "as a last resort one free anchor for each such object: " + _words_of(setup.assign)
    return [Option(words=words, setup=new, objects=objects)]


def _words_of(rule: Assigner) -> str:
    """A rule with a guarantee, for a command line where that can say it."""
    spec = said(rule) or {}
    if spec and all(isinstance(value, (str, int, float)) for value in spec.values()):
        return f"--assign {text_of(spec | {'guarantee': 'true'})}"
    return f"Guaranteed(strategy={type(rule).__name__}(...))"


def finer(setup: Setup) -> Setup | None:
    """The same on cells of half the finest stride: one more level, on which the finest level's
    shapes stand at half their size; or, where there is one level, that level on finer cells.

    None where cells would be finer than 4 pixels, or the rule is written for these levels.
    """
    grid = setup.grid
    stride = min(setup.strides) / 2
    if stride < _FINEST or getattr(setup.base, "ranges", None) is not None:
        return None
    parts = grid.shapes.split(list(grid.shapes_per_level))
    levels = [
        replace(level, shapes=None if level.shapes is None else part)
        for level, part in zip(grid.levels, parts)
    ]
    first = levels[0]
    if len(levels) == 1:
        levels = [replace(first, stride=stride, size=None)]
    else:
        shapes = None if first.shapes is None else parts[0] / 2
        levels = [replace(first, stride=stride, shapes=shapes, size=None), *levels]
    return replace(setup, grid=Grid(setup.image_size, levels))


def _finer(setup: Setup, objects: Objects) -> list[Option]:
    new = finer(setup)
    if new is None:
        return []
    level = level_words(new.grid.levels[0])
    kind = "finer cells" if new.grid.num_levels == 1 else "one more level"
    return [Option(words=f"{kind}: {level}", setup=new, objects=objects)]


def level_words(level: Level) -> str:
    """A level as Python makes it."""
    stride = f"stride={level.strides[0]:g}"
    stride += f", offset={level.offset:g}" if level.offset != 0.5 else ""
    if level.shapes is None:
        return f"Level({stride})"
    listed = ", ".join(f"({w:.1f}, {h:.1f})" for w, h in level.shapes_tensor().tolist())
    return f"Level({stride}, shapes=[{listed}])"


def worthwhile(
    before: float, tried: Sequence[Option], wrong: Callable[[Option], float]
) -> list[tuple[Option, float]]:
    """Those of ``tried`` that leave clearly less ``wrong`` than ``before``, with what they leave;
    in their order, without those that gain less than half of what the best one gains."""
    after = [(option, wrong(option)) for option in tried]
    gain = before - min((left for _, left in after), default=before)
    if gain <= _LEAST * before:
        return []
    return [(option, left) for option, left in after if before - left >= _WORTH * gain]


def as_cure(
    before: float, found: Sequence[tuple[Option, float]], what: str
) -> tuple[str, dict[str, Any]]:
    """The words of a cure, alternatives on lines of their own, and its predicted effect: the first
    option's, and those of the others."""
    lines = [option.words for option, _ in found]
    cure = "\nor, instead of that: ".join([lines[0][0].upper() + lines[0][1:], *lines[1:]])
    after = [left for _, left in found]
    text = f"{percent(before)} -> {percent(after[0])} {what}"
    text += "".join(f"; or -> {percent(left)}" for left in after[1:])
    return cure, {"text": text, "before": before, "after": after[0], "or": after[1:]}
