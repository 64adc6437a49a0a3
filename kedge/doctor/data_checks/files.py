"""Image files, annotations and classes that do not belong together, in the reader's own words."""

from collections import Counter
from typing import NamedTuple

from kedge.data import records
from kedge.doctor.context import Context
from kedge.doctor.data_checks.bad_boxes import BOX_KINDS
from kedge.doctor.finding import Finding, Severity, count


class _Kind(NamedTuple):
    check: str
    severity: Severity
    what: str
    cure: str


_ONE_NAME = "Give every class one name, the same in all files."
_KINDS = {
    "missing image": _Kind(
        "missing_images",
        "error",
        "annotated but missing",
        "Copy the missing files; or go on without them: --on-bad-box drop",
    ),
    "unreadable image": _Kind(
        "broken_images",
        "error",
        "that cannot be read",
        "Mend or fetch these files again; or go on without them: --on-bad-box drop",
    ),
    "wrong image size": _Kind(
        "wrong_image_size",
        "error",
        "of another size than annotated",
        "Scale the boxes as the images were scaled, and write the true sizes; or go on without "
        "them: --on-bad-box drop. Only when the boxes already fit the files: --on-bad-box clip",
    ),
    "EXIF orientation not applied": _Kind(
        "exif_orientation",
        "note",
        "whose EXIF orientation is not applied",
        "Nothing, if the boxes fit the picture in `kedge report`; otherwise rewrite the images "
        "upright.",
    ),
    "splits with other classes": _Kind(
        "splits_disagree",
        "error",
        "with another list of classes",
        "Give all splits one list of classes, in one order: kedge train refuses to score a split "
        "with another.",
    ),
    "class without a name": _Kind(
        "class_names", "warning", "without a name", "Give every class a name."
    ),
    "classes of one name": _Kind("class_names", "warning", "of one name", _ONE_NAME),
    "class names alike": _Kind(
        "class_names", "warning", "with names that differ in case or spaces alone", _ONE_NAME
    ),
}
_NOUNS = {"class_names": ("class", "classes"), "splits_disagree": ("split", "splits")}


def _of_reader(kind: str, first: records.Finding) -> _Kind:
    """Any other kind, in the reader's own words."""
    if first.action == "dropped":
        cure = "Correct the files; --on-bad-box drop leaves these out."
        return _Kind("bad_records", "error", f"not used: {kind}", cure)
    what = "seen and not used" if first.action == "unused" else "worth knowing"
    return _Kind("reader_notes", "note", f"{what}: {kind}", "Nothing, if it is meant.")


def check(context: Context) -> list[Finding]:
    """One finding for every kind of trouble that the reader met, boxes apart."""
    kinds: dict[str, list[records.Finding]] = {}
    for finding in context.data.findings:
        if finding.kind not in BOX_KINDS:
            kinds.setdefault(finding.kind, []).append(finding)
    return [_finding(context, kind, bad) for kind, bad in kinds.items()]


def _finding(context: Context, kind: str, bad: list[records.Finding]) -> Finding:
    """The cause is the reader's own reason, of the first that it met."""
    about = _KINDS.get(kind, _of_reader(kind, bad[0]))
    noun = ("image", "images") if kind in _KINDS else ("thing", "things")
    total = sum(f.count for f in bad)
    lost = any(f.action == "dropped" for f in bad)
    left = count(context.data.num_boxes, "box", "boxes")
    reason = str(bad[0]).replace(f"{kind}: ", "", 1)
    return Finding(
        check=about.check,
        severity=about.severity,
        symptom=f"{count(total, *_NOUNS.get(about.check, noun))} {about.what}",
        evidence={
            "count": total,
            "kind": kind,
            "examples": [str(f) for f in bad[:3]],
            "worst_images": [
                {"image": name, "records": n}
                for name, n in Counter(f.image for f in bad if f.image).most_common(5)
            ],
        },
        cause=f"{reason}{' (the first)' if len(bad) > 1 else ''}",
        cure=about.cure,
        predicted={
            "text": f"left without these: {count(len(context.data), 'image')} with {left}",
            "images_left": len(context.data),
            "boxes_left": context.data.num_boxes,
        }
        if lost
        else None,
        unpredicted="" if lost else "nothing is left out because of this",
    )
