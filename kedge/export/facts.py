"""What an exported file says of itself: all that is needed to use it, as JSON."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from kedge.detectors.detector import Detector
from kedge.export.forms import Form
from kedge.export.static import Answering, Static
from kedge.select import NMS, Selection
from kedge.select.suppress import KeepAll

KEY = "kedge"
"""The name of the entry among a file's metadata."""

FORMAT = 1
LETTERBOX = {
    "keep_aspect_ratio": True,
    "place": "middle",
    "fill": 114,
    "interpolation": "bilinear, antialiased",
}
PIXELS = "images (B, 3, H, W), float32, RGB, 0 to 1"
_TUPLES = ("classes", "category_ids", "input_size", "outputs", "levels")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Of an exported file.

    ``input_size`` (H, W) of the images, which are letterboxed into it; ``levels`` the numbers of
    anchors of every level; ``selection`` how decoded boxes become detections, whose ``suppress`` is
    "nms", "none", or the name of what is not in the file. Without levels and selection: maps alone.
    """

    detector: str
    form: Form
    precision: Literal["float32", "int8"]
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    input_size: tuple[int, int]
    outputs: tuple[str, ...]
    levels: tuple[int, ...]
    selection: dict[str, Any]

    def as_text(self) -> str:
        """JSON that ``facts_from`` reads."""
        return json.dumps(
            {"format": FORMAT, "pixels": PIXELS, "letterbox": LETTERBOX} | asdict(self)
        )

    def in_int8(self) -> "Facts":
        """Of the same file after quantisation."""
        return replace(self, precision="int8")

    def rule(self) -> Selection:
        """The selection that the file states; ``ValueError`` where it is not of the known kind."""
        values = dict(self.selection)
        suppress, threshold = values.pop("suppress"), values.pop("threshold")
        if suppress not in ("nms", "none"):
            raise ValueError(f"its boxes are selected by {suppress}, which a file does not hold")
        return Selection(suppress=NMS(threshold) if suppress == "nms" else KeepAll(), **values)


def facts_of(
    detector: Detector, name: str, form: Form, static: Static, outputs: tuple[str, ...]
) -> Facts:
    """The facts of the static form of a detector called ``name``."""
    labels = range(detector.num_classes)
    return Facts(
        detector=name,
        form=form,
        precision="float32",
        classes=detector.class_names or tuple(f"class {label}" for label in labels),
        category_ids=detector.category_ids or tuple(labels),
        input_size=static.size,
        outputs=outputs,
        levels=static.levels if isinstance(static, Answering) else (),
        selection=_stated(static.selection) if isinstance(static, Answering) else {},
    )


def _stated(rule: Selection) -> dict[str, Any]:
    kind = {NMS: "nms", KeepAll: "none"}.get(type(rule.suppress), type(rule.suppress).__name__)
    return {
        "score": rule.score,
        "top": rule.top,
        "candidates": rule.candidates,
        "apart": rule.apart,
        "min_side": rule.min_side,
        "most": rule.most,
        "suppress": kind if rule.vote is None else f"{kind} and votes",
        "threshold": rule.suppress.threshold if isinstance(rule.suppress, NMS) else None,
    }


def facts_from(text: str | None, file: object) -> Facts:
    """The facts that a file states; ``ValueError`` naming ``file`` where they are not Kedge's."""
    if text is None:
        raise ValueError(f"{file}: does not say how to use it: kedge export did not write it")
    try:
        values = json.loads(text)
        written = int(values["format"])
        known: dict[str, Any] = {key: values[key] for key in Facts.__dataclass_fields__}
        for key in _TUPLES:
            known[key] = tuple(known[key])
        facts = Facts(**known)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{file}: its metadata are not what kedge export writes ({error!r})"
        ) from None
    if written > FORMAT:
        raise ValueError(
            f"{file}: written by a newer Kedge (format {written}, this one reads {FORMAT})"
        )
    return facts
