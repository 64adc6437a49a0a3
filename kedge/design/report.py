"""What ``kedge design`` answers: the shapes, the verdict and the curve, as text and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kedge.anchors.presets import PresetLevel
from kedge.counted import count
from kedge.design.choose_k import Curve
from kedge.design.compare import Row, Verdict
from kedge.design.measure import Metrics
from kedge.design.result import Design
from kedge.design.settings import DesignSettings
from kedge.design.table import BoxTable

ONE_IMAGE = "Too few images to judge (1): nothing is compared."
_MOST = 20  # parts that are printed
_APART = 0.05  # share of the objects whose shape fits where no anchor stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How the shapes fit a class, or what one source holds; wherever the boxes stand."""

    name: str
    boxes: float
    metrics: Metrics


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DesignReport:
    """The design on all boxes, the verdict on held-out images, and the curve over k.

    ``verdict`` is None without held-out images, ``curve`` when it was not asked for. ``seen``: the
    usable boxes in pixels of the network's input, each image ``passes`` times. ``dropped``: boxes
    of the data set that are not usable. Of statistics there are ``shards`` that were counted, and
    neither ``images`` nor ``seen``; ``parts``: those that were told apart.
    """

    design: Design
    verdict: Verdict | None
    curve: Curve | None
    images: int | None
    settings: DesignSettings
    seen: BoxTable | None
    passes: int = 1
    dropped: int = 0
    shards: int = 0
    parts: tuple[Part, ...] = ()

    @property
    def boxes(self) -> float:
        """Usable boxes of the data set."""
        return self.design.boxes / self.passes

    @property
    def where(self) -> str:
        """What the boxes stand in, in words."""
        if self.images is None:
            return f"{count(self.shards, 'shard')}, taken to stand evenly over the input"
        return count(self.images, "image")

    @property
    def _balance(self) -> str:
        return "every class counts the same, " if self.settings.balance == "classes" else ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know."""
        notes = self.design.notes
        if self.passes > 1:
            notes = (f"every image counts {self.passes} times, at as many scales", *notes)
        if self.dropped:
            gone = f"left out: {count(self.dropped, 'box', 'boxes')} without positive finite sides"
            notes = (gone, *notes)
        return notes

    @property
    def levels(self) -> tuple[PresetLevel, ...]:
        """Shapes by feature map, empty maps left out; one map of stride 32 without strides."""
        if self.design.levels is None:
            pairs = tuple((w, h) for w, h in self.design.shapes.tolist())
            return (PresetLevel(32.0, pairs),)
        return tuple(level for level in self.design.levels if level.shapes)

    @property
    def verdict_text(self) -> str:
        """The verdict, and what to make of a placed recall that falls."""
        if self.verdict is None:
            return ONE_IMAGE
        text = self.verdict.text
        if not any(name == "placed recall" for name, _, _ in self.verdict.worse):
            return text
        if self.settings.in_order:
            name = self.settings.framework
            text += f" ({name} assigns by the ratio of sides, not by IoU: BPR is its own number.)"
        return f"{text} --objective placed designs for placed recall."

    def to_dict(self) -> dict[str, Any]:
        """What ``--json FILE`` holds: the design's keys, what ``load_design`` reads (``levels``,
        ``offset``, ``image_size``, ``resize``), and ``verdict``, ``comparison``, ``curve``.
        """
        settings = self.settings
        result: dict[str, Any] = {
            **self.design.to_dict(),
            "levels": [{"stride": s, "shapes": [list(x) for x in m]} for s, m in self.levels],
            "offset": settings.offset,
            "image_size": list(settings.resizing.size),
            "resize": settings.resizing.rule,
            "multi_scale": settings.multi_scale,
            "framework": settings.framework,
            "balance": settings.balance,
            "boxes": self.boxes,
            "dropped": self.dropped,
            "notes": list(self.notes),
            "images": self.images,
        }
        if self.verdict is not None:
            result["verdict"] = {
                "keep": self.verdict.keep,
                "in_use": self.verdict.in_use,
                "gain": self.verdict.gain,
                "error": self.verdict.error,
                "boxes": self.verdict.boxes,
                "images": self.verdict.images,
                "folds": self.verdict.folds,
                "judged": self.verdict.judged,
                "worse": [list(number) for number in self.verdict.worse],
                "text": self.verdict_text,
            }
            result["comparison"] = [row_dict(row) for row in self.verdict.rows]
        if self.curve is not None:
            pairs = zip(self.curve.k, self.curve.value, strict=True)
            result["curve"] = {"k": self.curve.knee, "points": [list(p) for p in pairs]}
        if self.parts:
            result["parts"] = [
                {"name": p.name, "boxes": p.boxes, **p.metrics.to_dict()} for p in self.parts
            ]
        return result

    def text(self) -> str:
        """Everything for a terminal, in plain lines."""
        design = self.design
        lines = [
            f"{count(round(self.boxes), 'box', 'boxes')} in {self.where}; "
            f"objective {design.objective}, {self._balance}"
            f"{design.seconds:.2f} s",
            f"images {self.settings.resizing.text}",
            *(f"note: {note}" for note in self.notes),
            "",
        ]
        for stride, shapes in self.levels:
            where = "" if design.levels is None else f"stride {stride:g}: "
            lines.append(where + ", ".join(f"{w:.1f} x {h:.1f}" for w, h in shapes))
        if design.pyramid is not None:
            lines += ["", design.pyramid.text()]
        lines += ["", _metrics_line(design)]
        if self.parts:
            lines += ["", *part_lines(self.parts)]
        if self.verdict is not None:
            lines += ["", *comparison_lines(self.verdict), "", self.verdict_text]
        elif self.settings.compare:
            lines += ["", ONE_IMAGE]
        if self.curve is not None:
            lines += ["", f"{self.curve.objective} by number of shapes:", self.curve.text()]
            if self.curve.knee != len(design.shapes):
                lines.append(f"The curve bends at k = {self.curve.knee}.")
            lines.append(
                "A fit is not an accuracy: every shape more is background in every cell but its "
                "objects'. Of one, three, five, seven and nine shapes on blood cells nine fitted "
                "best, and detected worst: try fewer too."
            )
        return "\n".join(lines)


def part_lines(parts: Sequence[Part]) -> list[str]:
    """How well each part is fitted, the worst first; of many the ``_MOST`` worst."""
    worst = sorted(parts, key=lambda part: part.metrics.mean_best_iou)[:_MOST]
    wide = max(len(part.name) for part in worst)
    lines = [f"{'':{wide}}  {'boxes':>13}  mean best IoU  IoU >= 0.5"]
    lines += [
        f"{part.name:{wide}}  {part.boxes:13,.0f}  {part.metrics.mean_best_iou:13.4f}"
        f"  {part.metrics.recall:10.1%}"
        for part in worst
    ]
    if len(parts) > len(worst):
        lines.append(f"and {len(parts) - len(worst):,} that fit better (--json has all)")
    return lines


def row_dict(row: Row) -> dict[str, Any]:
    """One comparison row as plain numbers."""
    return {
        "name": row.name,
        "shapes": row.shapes,
        "score": row.score,
        **row.metrics.to_dict(),
    }


def comparison_lines(verdict: Verdict) -> list[str]:
    """The comparison as an aligned table."""
    names = ("shapes", "score", "mean IoU", "IoU>=.5", "BPR", "placed")
    lines = [f"{'on held-out images':24s} " + " ".join(f"{name:>8s}" for name in names)]
    for row in sorted(verdict.rows, key=lambda r: -r.score):
        m = row.metrics
        numbers = (row.score, m.mean_best_iou, m.recall, m.bpr)
        cells = [f"{row.shapes:8d}", *(f"{x:8.4f}" for x in numbers)]
        cells.append(f"{'-':>8s}" if m.placed_recall is None else f"{m.placed_recall:8.4f}")
        lines.append(f"{row.name:24s} " + " ".join(cells))
    return lines


def _metrics_line(design: Design) -> str:
    m = design.metrics
    text = (
        f"mean best IoU {m.mean_best_iou:.4f}, IoU >= 0.5 for {m.recall:.1%}, "
        f"BPR {m.bpr:.4f}, {m.aat:.2f} shapes above threshold per box"
    )
    if m.placed_recall is None:
        return text
    assert design.placed is not None, "it was measured on a grid"
    text += f"; on the real grid {m.placed_recall:.1%} reach IoU {design.placed.threshold:g}"
    if design.objective != "placed" and m.recall - m.placed_recall > _APART:
        text += " (--objective placed designs for that)"
    return text
