"""All checks, in the order in which a person would want to read them."""

from collections.abc import Callable
from dataclasses import replace

from kedge.doctor.anchor_checks import (
    dead_shapes,
    finer_level,
    fit,
    offset,
    poorly_covered,
    positive_share,
    positives,
    pyramid,
    redundant_shapes,
    regression_targets,
    starved_classes,
    thresholds,
    unanswered,
    uncovered,
)
from kedge.doctor.context import Context
from kedge.doctor.data_checks import (
    bad_boxes,
    box_format,
    cap,
    class_balance,
    crowding,
    duplicates,
    empty,
    files,
    leaks,
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

FILES: tuple[Check, ...] = (files.check, leaks.check, box_format.check)
BOXES: tuple[Check, ...] = (
    empty.check,
    bad_boxes.check,
    duplicates.check,
    class_balance.check,
    tiny.check,
    crowding.check,
    cap.check,
    sizes.check,
)
DATA: tuple[Check, ...] = (*FILES, *BOXES)
ANCHORS: tuple[Check, ...] = (
    unanswered.check,
    poorly_covered.check,
    uncovered.check,
    finer_level.check,
    pyramid.check,
    fit.check,
    regression_targets.check,
    offset.check,
    thresholds.check,
    dead_shapes.check,
    redundant_shapes.check,
    positives.check,
    starved_classes.check,
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


_FOLLOWS = ("flipped_boxes", "boxes_outside")  # of a wrong format


def examine(context: Context) -> list[Finding]:
    """Findings of every check that applies, errors first.

    Where the boxes are of another format than the file's, checks of boxes would judge nonsense:
    they wait, and the finding says so. Where some images only are hit, all run, but what follows
    from the format is not told twice.
    """
    found = [finding for check in (*RUN, *FILES) for finding in check(context)]
    wrong = [finding for finding in found if finding.check == "box_format"]
    if any(not finding.evidence["mixed"] for finding in wrong):
        return by_severity([_waiting(finding) for finding in found])
    found += [finding for check in (*BOXES, *ANCHORS) for finding in check(context)]
    return by_severity([f for f in found if not (wrong and f.check in _FOLLOWS)])


def _waiting(finding: Finding) -> Finding:
    if finding.check != "box_format":
        return finding
    again = (
        "# then ask the doctor again: checks of boxes and anchors wait until the format is right"
    )
    return replace(finding, cure=f"{finding.cure}\n{again}")
