"""Cures in the order in which they are worth applying."""

from collections.abc import Sequence

from kedge.doctor.finding import Finding

_STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "the files",
        (
            "box_format", "missing_images", "broken_images", "wrong_image_size", "bad_records",
            "exif_orientation", "splits_disagree", "class_names", "empty_data",
        ),
    ),
    (
        "the labels",
        (
            "nan_boxes", "zero_area_boxes", "flipped_boxes", "boxes_outside", "duplicate_images",
            "images_in_two_splits", "duplicate_boxes", "near_duplicate_boxes", "conflicting_boxes",
            "absent_classes", "empty_images",
        ),
    ),
    ("the input", ("below_one_pixel", "crowded_cells")),
    (
        "the anchors",
        (
            "poorly_covered", "uncovered_sizes", "uncovered_aspect_ratios", "best_iou",
            "far_regression_targets", "finer_level", "dead_shapes", "redundant_shapes", "positives",
            "offset", "anchors_moved_far", "missed_sizes",
        ),
    ),
    ("the rule", ("no_positive", "thresholds", "regression_targets")),
    ("the loss and the rest", ()),
)  # fmt: skip
_SAID_ELSEWHERE = (
    "Shapes alone do not mend it: see",
    "The rule has to answer for them first: see",
    "As many designed shapes fit no better: see",
    "As many designed shapes come no nearer: see",
)


def plan(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    """What errors and warnings ask for, first things first: (what it is about, cure).

    A cure that several findings share stands once. Cures that give other anchors exclude each
    other: those after the first are alternatives to it.
    """
    places = {check: i for i, (_, checks) in enumerate(_STEPS) for check in checks}
    steps: dict[str, tuple[int, list[str]]] = {}
    for finding in findings:
        if finding.severity != "note" and not finding.cure.startswith(_SAID_ELSEWHERE):
            step = places.get(finding.check, len(_STEPS) - 1)
            first, names = steps.setdefault(finding.cure, (step, []))
            steps[finding.cure] = (min(first, step), [*names, finding.check])
    ordered = sorted(steps.items(), key=lambda item: item[1][0])
    about: list[tuple[str, str]] = []
    anchors = None
    for number, (cure, (step, names)) in enumerate(ordered, 1):
        title = _STEPS[step][0]
        if title == "the anchors" and anchors is not None:
            title += f", instead of step {anchors}"
        elif title == "the anchors":
            anchors = number
        about.append((f"{title}: {', '.join(names)}", cure))
    return about


def advice(steps: Sequence[tuple[str, str]]) -> str:
    """What to know of the order, and how to ask about designed shapes; empty where neither
    applies."""
    said = []
    if len(steps) > 1:
        said.append(
            "One step at a time: each changes what the later ones are about, so ask the doctor "
            "again."
        )
    if any("kedge design" in cure for _, cure in steps):
        said.append(
            "To ask about designed shapes, let kedge design keep them (--json a.json), and add "
            "--anchors a.json to kedge doctor --detector."
        )
    return " ".join(said)
