"""Image files and annotations that do not belong together: missing, broken, of another size."""

from collections import Counter
from typing import Any, NamedTuple

from kedge.doctor.context import Context
from kedge.doctor.data_checks.bad_boxes import _KINDS as BOX_KINDS
from kedge.doctor.finding import Finding, Severity, count


class _Kind(NamedTuple):
    check: str
    severity: Severity
    what: str
    cause: str
    cure: str


_KINDS = {
    "missing image": _Kind(
        "missing_images",
        "error",
        "annotated but missing",
        "The images lie elsewhere, or their names differ (case, ending).",
        "Copy the missing files, or go on without them: --on-bad-box drop.",
    ),
    "unreadable image": _Kind(
        "broken_images",
        "error",
        "unreadable or cut off",
        "An interrupted download or copy.",
        "Fetch these files again, or go on without them: --on-bad-box drop.",
    ),
    "wrong image size": _Kind(
        "wrong_image_size",
        "error",
        "of another size than annotated",
        "The images were resized or turned after they were annotated, so the boxes belong to "
        "other pixels.",
        "Scale the boxes as the images were scaled, and write the true sizes. Only when the boxes "
        "already fit the files: --on-bad-box clip.",
    ),
    "EXIF orientation not applied": _Kind(
        "exif_orientation",
        "note",
        "whose EXIF orientation is not applied",
        "The annotations give the size of the stored pixels, so the boxes are taken to be theirs.",
        "Nothing, if the boxes fit the picture in `kedge report`; otherwise rewrite the images "
        "upright.",
    ),
}


def _of_reader(first: Any) -> _Kind:
    """Any other kind, in the reader's own words."""
    if first.action == "dropped":
        cure = "Correct the files; --on-bad-box drop leaves these records out."
        return _Kind("bad_records", "error", "that cannot be used", first.message, cure)
    return _Kind("reader_notes", "note", "worth knowing", first.message, "Nothing, if it is meant.")


def check(context: Context) -> list[Finding]:
    """One finding for every kind of trouble that the reader met, boxes apart."""
    kinds: dict[str, list] = {}
    for finding in context.data.findings:
        if finding.kind not in BOX_KINDS:
            kinds.setdefault(finding.kind, []).append(finding)
    found = []
    for kind, bad in kinds.items():
        about = _KINDS.get(kind, _of_reader(bad[0]))
        noun = "image" if kind in _KINDS else f"record ({kind})"
        plural = "images" if kind in _KINDS else f"records ({kind})"
        found.append(
            Finding(
                check=about.check,
                severity=about.severity,
                symptom=f"{count(sum(f.count for f in bad), noun, plural)} {about.what}",
                evidence={
                    "count": sum(f.count for f in bad),
                    "kind": kind,
                    "examples": [str(f) for f in bad[:3]],
                    "worst_images": [
                        {"image": name, "records": n}
                        for name, n in Counter(f.image for f in bad if f.image).most_common(5)
                    ],
                },
                cause=about.cause,
                cure=about.cure,
                predicted={
                    "text": f"{count(len(context.data), 'image')} with "
                    f"{count(context.data.num_boxes, 'box', 'boxes')} stay when these are left out",
                    "images_left": len(context.data),
                    "boxes_left": context.data.num_boxes,
                }
                if about.severity == "error"
                else None,
                unpredicted="" if about.severity == "error" else "nothing has to change",
            )
        )
    return found
