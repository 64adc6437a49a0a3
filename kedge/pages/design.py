"""The page of a design."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kedge.anchors.presets import Preset, preset
from kedge.counted import count
from kedge.design import DesignReport
from kedge.design.compare import IN_WORDS
from kedge.design.rivals import in_use


def write_page(path: Path, report: DesignReport, snippet: str, source: str) -> Path:
    """The page of this design for the data ``source``, written whole or not at all."""
    from kedge.report import write_report

    return write_report(
        path,
        f"Anchors for {source}",
        sections(report, snippet),
        subtitle=headline(report),
        facts=facts(report, source),
    )


def headline(report: DesignReport) -> str:
    """The verdict, or the fit."""
    if report.verdict is not None:
        return report.verdict_text
    return f"mean best IoU {report.design.mean_best_iou:.4f}"


def facts(report: DesignReport, source: str) -> Mapping[str, str]:
    """What stands under the title."""
    settings = report.settings
    return {
        "data": f"{source}: {count(round(report.boxes), 'box', 'boxes')} in {report.where}",
        "input": f"images {settings.resizing.text}; strides "
        + ", ".join(f"{s:g}" for s in settings.levels),
        "objective": report.design.objective,
        "time": f"{report.design.seconds:.1f} s",
    }


def sections(report: DesignReport, snippet: str) -> list[Any]:
    """Shapes, the snippet, the comparison, the curve."""
    from kedge.report import Block, Code, Figure, Numbers, Section, Table, Text
    from kedge.report import figures as draw

    design, seen = report.design, report.seen
    if seen is None:
        raise ValueError("a page shows single boxes, and statistics hold none")
    sets = {"new": design.shapes.numpy(), **_others(report)}
    rng = np.random.default_rng(report.settings.seed)
    wh = seen.wh[rng.permutation(len(seen))[:200_000]]
    items = [
        (f"{design.mean_best_iou:.3f}", "mean best IoU", "centres moved together"),
        (f"{design.bpr:.3f}", "BPR", "YOLOv5's ratio, threshold 4"),
    ]
    if design.placed_recall is not None and design.placed is not None:
        title = f"reach IoU {design.placed.threshold:g}"
        items.append((f"{design.placed_recall:.1%}", title, "on the real grid"))
    rows = [
        [f"stride {stride:g}", f"{w:.1f} x {h:.1f}", h / w]
        for stride, shapes in report.levels
        for w, h in shapes
    ]
    first: list[Block] = [
        Numbers(items=items),
        *(Text(text=note) for note in report.notes),
        Code(code=snippet, caption=f"For {report.settings.framework}"),
        *(
            _parameters(report)
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
        name = IN_WORDS.get(curve.objective, curve.objective)
        figure = draw.knee_curve(curve.k, {name: curve.value}, curve.knee, title=name)
        words = f"The curve bends at k = {curve.knee}: further shapes gain less than earlier ones."
        found.append(Section(title="How many", blocks=[Figure(figure=figure, caption=words)]))
    return found


def _parameters(report: DesignReport) -> list[Any]:
    """Sizes, scales and ratios of a pyramid."""
    from kedge.report import Table

    found = report.design.pyramid
    if found is None:
        return []
    sizes = (
        (f"size at stride {s:g} (px)", x)
        for s, x in zip(sorted(report.settings.levels), found.sizes)
    )
    rows = [[name, f"{value:g}"] for name, value in sizes]
    rows += [["scales", ", ".join(f"{x:g}" for x in found.scales)]]
    rows += [["h / w", ", ".join(f"{x:g}" for x in found.h_over_w)]]
    words = "w = size * scale / sqrt(h / w), h = size * scale * sqrt(h / w)"
    return [Table(columns=["parameter", "value"], rows=rows, caption=words)]


def _others(report: DesignReport) -> dict[str, Any]:
    """The set in use, or the best published one, for the plane."""
    settings, verdict = report.settings, report.verdict
    own = in_use(settings.in_use)
    if isinstance(own, Preset):
        return {own.name: np.array(own.shapes)}
    if own is not None:
        return {"in use": own.numpy()}
    if verdict is None:
        return {}
    rows = [row for row in verdict.rows if row.name != "new" and row.shapes <= settings.number]
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
        Text(text=f"**{report.verdict_text}**"),
        Table(
            columns=columns,
            rows=rows,
            digits=4,
            caption="On images held out: the new shapes of this table were designed without them. "
            "Published sets stand on their own strides.",
        ),
    ]
