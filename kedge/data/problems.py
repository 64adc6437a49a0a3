"""What is wrong with a data set: collected while it is read, raised once."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kedge.counted import count
from kedge.data.records import Action, Data, Finding, OnBadBox
from kedge.parse import shown

_SHOWN = 5
_IMAGES = ("missing image", "unreadable image", "wrong image size")  # their boxes are told apart


class Problems:
    """Collects findings; `stop()` raises once for all that the caller did not agree to repair."""

    def __init__(self, source: str | Path, on_bad_box: OnBadBox) -> None:
        if on_bad_box not in ("error", "drop", "clip"):
            raise ValueError(f'on_bad_box must be "error", "drop" or "clip", not {on_bad_box!r}')
        self.source = source
        self.on_bad_box = on_bad_box
        self.findings: list[Finding] = []
        self.fatal: list[Finding] = []

    def add(
        self,
        kind: str,
        image: str,
        record: str,
        message: str,
        clipped: bool = False,
        box: tuple[float, ...] | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """A problem: an error, or something dropped (or clipped, where that was possible)."""
        repaired = clipped and self.on_bad_box == "clip"
        action: Action = "clipped" if repaired else "dropped"
        if self.on_bad_box == "error":
            action = "error"
        self.findings.append(_finding(kind, image, record, message, action, box=box, size=size))

    def note(self, kind: str, image: str, record: str, message: str, count: int = 1) -> None:
        """Something worth knowing that changes nothing. `image` "": it is about the data set."""
        self.findings.append(_finding(kind, image, record, message, "kept", count=count))

    def unused(self, kind: str, names: list[str], message: str) -> None:
        """Things that lie in the folder and are no part of the data; nothing where there are none.

        One finding that names the first few and counts all.
        """
        if not names:
            return
        few = ", ".join(repr(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")
        text = f"{message}: {few}"
        self.findings.append(_finding(kind, "", "", text, "unused", count=len(names)))

    def lost_with_images(self, boxes: int) -> None:
        """Count the boxes of images that are left out; each image is a finding of its own."""
        if boxes and self.on_bad_box != "error":
            kind, message = "box of an image left out", "these boxes go with their images"
            self.findings.append(_finding(kind, "", "", message, "dropped", count=boxes))

    def refuse(self, kind: str, image: str, record: str, message: str) -> None:
        """An error whatever `on_bad_box` says."""
        self.fatal.append(_finding(kind, image, record, message, "error"))

    def stop(self) -> None:
        """Raise ValueError with the first few errors and the count of each kind, if any."""
        errors = self.fatal or [f for f in self.findings if f.action == "error"]
        if not errors:
            return
        lines = [f"{self.source}: {count(len(errors), 'problem')}: {_counts(errors)}"]
        lines += [f"  {finding}" for finding in errors[:_SHOWN]]
        if len(errors) > _SHOWN:
            lines.append(f"  ... and {len(errors) - _SHOWN} more")
        if self.fatal:
            lines.append("No option accepts these: correct the files.")
        else:
            lines.append(
                'Correct the files, or pass on_bad_box="clip" (repair what can be repaired, '
                'drop the rest) or on_bad_box="drop" (drop every bad box).'
            )
        raise ValueError("\n".join(lines))

    def stop_if_nothing_is_left(self, images: int, left: int) -> None:
        """Raise ValueError where not one image can be used. `images` were annotated."""
        if left:
            return
        lost = [finding for finding in self.findings if finding.action == "dropped"]
        if not images and not lost:
            raise ValueError(f"{self.source}: holds no image")
        whole = f" of {count(images, 'image')}" if images else ""
        first = f"; the first: {lost[0]}" if lost else ""
        raise ValueError(f"{self.source}: nothing is left{whole} ({_counts(lost)}){first}")


def stop_if_no_box_is_left(splits: Iterable[Data]) -> None:
    """Raise ValueError where boxes were annotated, and not one of all ``splits`` can be used.

    Images without annotations pass: they are background. ``kedge.data.read`` lets such a set pass,
    too, since the doctor says what is wrong with its boxes.
    """
    parts = list(splits)
    lost = [f for part in parts for f in part.findings if f.action == "dropped"]
    lost = [f for f in lost if f.kind not in _IMAGES]
    if not lost or any(part.num_boxes for part in parts):
        return
    raise ValueError(
        f"{parts[0].source}: nothing is left of its boxes ({_counts(lost)}); the first: {lost[0]}"
    )


def _finding(
    kind: str, image: str, record: str, message: str, action: Action, **more: Any
) -> Finding:
    """A finding whose text is printable."""
    return Finding(
        kind=kind,
        image=shown(image),
        record=shown(record),
        message=_brief(message),
        action=action,
        **more,
    )


def _brief(message: str) -> str:
    """Printable, and short enough to be read, whatever names are in it."""
    text = shown(message)
    return text if len(text) <= 600 else f"{text[:400]} ... {text[-160:]}"


def _counts(findings: list[Finding]) -> str:
    kinds: Counter[str] = Counter()
    for finding in findings:
        kinds[finding.kind] += finding.count
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
