"""A design for a data set as the command line asks for it, and its page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kedge.anchors.design import (
    RETINANET_STRIDES,
    BoxTable,
    DesignReport,
    DesignSettings,
    as_seen,
    design_command,
    letterbox,
    read_table,
    table_from_records,
)
from kedge.anchors.design.table import TABLES
from kedge.anchors.presets import preset
from kedge.interop.pyramid_snippets import pyramid_snippet
from kedge.interop.snippets import snippet
from kedge.train.shape_text import parse_shapes

_EVEN = ("torchvision", "detectron2", "yolov5")  # heads that need as many shapes on every level


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What ``kedge design`` was asked for; see its help."""

    source: str
    split: str | None = None
    k: int | None = None
    layout: str = "free"
    scales: int | None = None
    ratios: int | None = None
    image_size: tuple[int, int] = (640, 640)
    strides: tuple[float, ...] | None = None
    per_level: tuple[int, ...] | None = None
    objective: str = "mean_iou"
    threshold: float | None = None
    method: str = "best"
    in_use: str | None = None
    framework: str = "kedge"
    offset: float = 0.5
    restarts: int = 64
    curve: bool = True
    compare: bool = True
    seed: int = 0

    def settings(self) -> DesignSettings:
        """The same for ``design_command``. Even levels where the framework's heads need them."""
        return DesignSettings(
            k=self.number,
            objective=self.objective,
            image_size=self.image_size,
            strides=self.levels,
            per_level=self._per_level(),
            pyramid=self._pyramid(),
            in_order=self.framework == "yolov5",  # it compares shapes alone, in the object's cells
            offset=self.offset,
            threshold=self.threshold,
            method=self.method,
            restarts=self.restarts,
            seed=self.seed,
            in_use=_in_use(self.in_use),
            held_out=0.2 if self.compare else 0.0,
            curve=self.curve,
        )

    @property
    def levels(self) -> tuple[float, ...]:
        """Strides of the levels, the defaults filled in."""
        default = RETINANET_STRIDES if self.layout == "pyramid" else (8.0, 16.0, 32.0)
        return self.strides or default

    @property
    def number(self) -> int:
        """How many shapes."""
        pyramid = self._pyramid()
        if pyramid is not None:
            return len(self.levels) * pyramid[0] * pyramid[1]
        return 9 if self.k is None else self.k

    def _pyramid(self) -> tuple[int, int] | None:
        """Scales and ratios; None for free shapes."""
        if self.layout != "pyramid":
            if self.scales is not None or self.ratios is not None:
                raise ValueError("--scales and --ratios go with --layout pyramid")
            return None
        if self.k is not None or self.per_level is not None or self.method != "best":
            raise ValueError(
                "--layout pyramid: its shapes are strides x scales x ratios, optimised directly; "
                "leave out --k, --per-level and --method"
            )
        return (
            3 if self.scales is None else self.scales,
            3 if self.ratios is None else self.ratios,
        )

    def _per_level(self) -> tuple[int, ...] | None:
        """As many shapes on every level where the framework's heads need that."""
        if self.per_level is not None or self.layout == "pyramid" or self.framework not in _EVEN:
            return self.per_level
        k, levels = self.number, len(self.levels)
        if k % levels:
            raise ValueError(
                f"--k: {self.framework} needs as many shapes on each of the {levels} levels "
                f"({' '.join(f'{s:g}' for s in self.levels)}); {k} is no multiple of "
                f"{levels}: choose --k {levels * max(1, round(k / levels))}, or --strides"
            )
        return (k // levels,) * levels


def _in_use(text: str | None) -> str | tuple[tuple[float, float], ...] | None:
    if text is None or ("," not in text and not text[:1].isdigit()):
        return text
    return tuple(parse_shapes(text))


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """The design, its ``snippet``, and the boxes it was made for (as the network sees them)."""

    wish: Wish
    report: DesignReport
    snippet: str
    seen: BoxTable
    refused: int

    def write(self, path: Path) -> Path:
        """The page of this design."""
        from kedge.report import write_report

        return write_report(
            path,
            f"Anchors for {self.wish.source}",
            sections(self),
            subtitle=headline(self),
            facts=facts(self.wish, self.report),
        )


def make_design(wish: Wish) -> Made:
    """Read, design, compare. ``ValueError`` where there is nothing to read or to design for."""
    settings = wish.settings()
    table, refused = read_boxes(wish.source, wish.split)
    try:
        report = design_command(table, settings)
    except ValueError as problem:
        raise ValueError(f"{wish.source}: {problem}") from None
    try:
        text = _snippet(wish, report)
    except ValueError as problem:
        raise ValueError(f"--for {problem}") from None
    seen = as_seen(table, letterbox(wish.image_size), wish.seed)
    return Made(wish=wish, report=report, snippet=text, seen=seen, refused=refused)


def _snippet(wish: Wish, report: DesignReport) -> str:
    found = report.design.pyramid
    if found is None:
        levels = [(level.stride, level.shapes) for level in report.levels]
        return snippet(wish.framework, levels, wish.image_size, wish.offset)
    return pyramid_snippet(
        wish.framework,
        sorted(wish.levels),
        found.sizes,
        found.scales,
        found.h_over_w,
        wish.image_size,
        wish.offset,
    )


def read_boxes(source: str, split: str | None) -> tuple[BoxTable, int]:
    """Boxes of a data set or of a table, and how many the reader refused."""
    path = Path(source)
    if path.is_file() and path.suffix in (".npz", *TABLES):
        if split is not None:
            raise ValueError(f"{source}: is a single table without splits: leave out --split")
        return read_table(path), 0
    from kedge.data import npz
    from kedge.doctor.sources import choose_split, read_data

    chosen = choose_split(source, split)
    tables = npz.find(path) if path.is_dir() else {}
    if chosen in tables:
        return read_table(tables[chosen]), 0
    data = read_data(source, chosen, check_images=False)
    refused = sum(finding.box is not None for finding in data.findings)
    return table_from_records(data.records), refused


def headline(made: Made) -> str:
    """The verdict, or the fit."""
    verdict = made.report.verdict
    if verdict is not None:
        return verdict.text
    return f"mean best IoU {made.report.design.mean_best_iou:.4f}"


def facts(wish: Wish, report: DesignReport) -> Mapping[str, str]:
    """What stands under the title."""
    height, width = wish.image_size
    split = f", {wish.split}" if wish.split else ""
    return {
        "data": f"{wish.source}{split}: {report.design.boxes:,.0f} boxes in {report.images:,} "
        "images",
        "input": f"{height} x {width}, letterboxed; strides "
        + ", ".join(f"{s:g}" for s in wish.levels),
        "objective": report.design.objective,
        "time": f"{report.design.seconds:.1f} s",
    }


def sections(made: Made) -> list[Any]:
    """Shapes, the snippet, the comparison, the curve."""
    from kedge.report import Block, Code, Figure, Numbers, Section, Table, Text
    from kedge.report import figures as draw

    report, design = made.report, made.report.design
    sets = {"new": design.shapes.numpy(), **_others(made)}
    rng = np.random.default_rng(made.wish.seed)
    wh = made.seen.wh[rng.permutation(len(made.seen))[:200_000]]
    items = [
        (f"{design.mean_best_iou:.3f}", "mean best IoU", "centres moved together"),
        (f"{design.bpr:.3f}", "BPR", "YOLOv5's ratio, threshold 4"),
    ]
    if design.placed_recall is not None and design.placed is not None:
        remark = f"IoU {design.placed.threshold:g} on the real grid"
        items.append((f"{design.placed_recall:.1%}", "get a positive", remark))
    rows = [
        [f"stride {stride:g}", f"{w:.1f} x {h:.1f}", h / w]
        for stride, shapes in report.levels
        for w, h in shapes
    ]
    first: list[Block] = [
        Numbers(items=items),
        *(Text(text=note) for note in design.notes),
        Code(code=made.snippet, caption=f"For {made.wish.framework}"),
        *(
            _parameters(made)
            or [Table(columns=["level", "w x h (px)", "h / w"], rows=rows, digits=2)]
        ),
    ]
    found = [
        Section(title="Shapes", blocks=first),
        Section(
            title="Boxes and shapes",
            blocks=[
                Figure(
                    figure=draw.shape_plane(wh, sets),
                    caption="Grey: boxes, as the network sees them. Marks: shapes. Dotted: COCO's "
                    "borders of small and large; diagonal: squares.",
                )
            ],
        ),
    ]
    if report.verdict is not None:
        found.append(Section(title="Comparison", blocks=_comparison(report)))
    if report.curve is not None:
        curve = report.curve
        figure = draw.knee_curve(curve.k, {report.design.objective: curve.value}, curve.knee)
        words = f"The curve bends at k = {curve.knee}: further shapes gain less than earlier ones."
        found.append(Section(title="How many", blocks=[Figure(figure=figure, caption=words)]))
    return found


def _parameters(made: Made) -> list[Any]:
    """Sizes, scales and ratios of a pyramid."""
    from kedge.report import Table

    found = made.report.design.pyramid
    if found is None:
        return []
    sizes = (
        (f"size at stride {s:g} (px)", x) for s, x in zip(sorted(made.wish.levels), found.sizes)
    )
    rows = [[name, f"{value:g}"] for name, value in sizes]
    rows += [["scales", ", ".join(f"{x:g}" for x in found.scales)]]
    rows += [["h / w", ", ".join(f"{x:g}" for x in found.h_over_w)]]
    words = "w = size * scale / sqrt(h / w), h = size * scale * sqrt(h / w)"
    return [Table(columns=["parameter", "value"], rows=rows, caption=words)]


def _others(made: Made) -> dict[str, Any]:
    """The set in use, or the best published one, for the plane."""
    in_use, verdict = _in_use(made.wish.in_use), made.report.verdict
    if isinstance(in_use, tuple):
        return {"in use": np.array(in_use)}
    if in_use is not None:
        return {in_use: np.array(preset(in_use).shapes)}
    if verdict is None:
        return {}
    rows = [row for row in verdict.rows if row.name != "new" and row.shapes <= made.wish.number]
    best = max(rows, key=lambda row: row.score, default=None)
    return {} if best is None else {best.name: np.array(preset(best.name).shapes)}


def _comparison(report: DesignReport) -> list[Any]:
    from kedge.report import Table, Text

    verdict = report.verdict
    assert verdict is not None
    rows = [
        [
            row.name,
            row.shapes,
            row.score,
            row.metrics.mean_best_iou,
            row.metrics.recall,
            row.metrics.bpr,
            row.metrics.placed_recall,
        ]
        for row in sorted(verdict.rows, key=lambda row: -row.score)
    ]
    columns = ["anchors", "shapes", "score", "mean best IoU", "IoU >= 0.5", "BPR", "placed"]
    return [
        Text(text=f"**{verdict.text}**"),
        Table(
            columns=columns,
            rows=rows,
            digits=4,
            caption="On images held out: the new shapes of this table were designed without them. "
            "Published sets stand on their own strides.",
        ),
    ]
