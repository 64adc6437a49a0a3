"""All checks, in the order in which a person would want to read them."""

from collections.abc import Callable

from kedge.doctor.anchor_checks import (
    dead_shapes,
    fit,
    offset,
    positive_share,
    positives,
    redundant_shapes,
    regression_targets,
    thresholds,
    unanswered,
    uncovered,
)
from kedge.doctor.context import Context
from kedge.doctor.data_checks import (
    bad_boxes,
    box_format,
    class_balance,
    crowding,
    duplicates,
    empty,
    files,
    sizes,
    tiny,
)
from kedge.doctor.finding import Finding, by_severity
from kedge.doctor.run_checks import (
    background_loss,
    drift,
    early_box_loss,
    false_positives,
    moved_anchors,
    nan,
    no_positive_loss,
    recall_by_size,
    stopped,
)

Check = Callable[[Context], list[Finding]]

DATA: tuple[Check, ...] = (
    empty.check,
    files.check,
    box_format.check,
    bad_boxes.check,
    duplicates.check,
    class_balance.check,
    tiny.check,
    crowding.check,
    sizes.check,
)

ANCHORS: tuple[Check, ...] = (
    unanswered.check,
    uncovered.check,
    fit.check,
    regression_targets.check,
    offset.check,
    thresholds.check,
    dead_shapes.check,
    redundant_shapes.check,
    positives.check,
    positive_share.check,
)

RUN: tuple[Check, ...] = (
    stopped.check,
    nan.check,
    no_positive_loss.check,
    false_positives.check,
    recall_by_size.check,
    drift.check,
    early_box_loss.check,
    moved_anchors.check,
    background_loss.check,
)


def examine(context: Context) -> list[Finding]:
    """Findings of every check that applies, errors first."""
    return by_severity([finding for check in (*RUN, *DATA, *ANCHORS) for finding in check(context)])
