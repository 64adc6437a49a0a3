"""What ``kedge design`` does, without the command line: boxes in, shapes and a verdict out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kedge.anchors.design.choose_k import Curve, k_curve
from kedge.anchors.design.compare import Candidate, Row, Verdict, compare, split_images
from kedge.anchors.design.fit import fit, make_objective
from kedge.anchors.design.fit_pyramid import RETINANET_STRIDES, fit_pyramid
from kedge.anchors.design.network import Recipe, as_seen, letterbox
from kedge.anchors.design.objectives import MeanIoU, Objective
from kedge.anchors.design.placed import Placed, floors
from kedge.anchors.design.points import Points, shapes_tensor
from kedge.anchors.design.problem import Problem, stages_of_sizes
from kedge.anchors.design.result import Design
from kedge.anchors.design.search import even_levels
from kedge.anchors.design.table import BoxTable
from kedge.anchors.kmeans import by_area, one_thread
from kedge.anchors.presets import Preset, PresetLevel, preset

_APART = 0.05  # share of the objects whose shape fits where no anchor stands
_BASELINES = ("yolov2_coco", "yolov2_voc", "yolov3_tiny", "yolov3", "retinanet", "faster_rcnn_fpn")


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignSettings:
    """Settings of ``kedge design``; see ``fit`` for those that it shares.

    ``in_use``: the anchors in use, a preset's name or shapes (w, h). ``baselines``: presets to
    compare with. ``held_out``: share of the images on which sets are compared (0: none).
    ``curve``: also try other numbers of shapes and recommend one. ``recipe``: the training recipe
    instead of letterboxing. ``pyramid``: numbers of (scales, ratios) of RetinaNet-style shapes on
    ``strides``; ``k``, ``per_level``, ``method`` and ``curve`` then say nothing. ``in_order``: see
    ``fit``.
    """

    k: int = 9
    objective: str = "mean_iou"
    image_size: int | tuple[int, int] = 640
    strides: tuple[float, ...] | None = (8, 16, 32)
    per_level: tuple[int, ...] | None = None
    offset: float = 0.5
    threshold: float | None = None
    method: str = "best"
    restarts: int = 64
    seed: int = 0
    in_use: str | tuple[tuple[float, float], ...] | None = None
    baselines: tuple[str, ...] = _BASELINES
    held_out: float = 0.2
    curve: bool = True
    recipe: Recipe | None = None
    pyramid: tuple[int, int] | None = None
    in_order: bool = False


def even_split(settings: DesignSettings) -> DesignSettings:
    """The same settings with equally many shapes on every level, as shared heads need.

    Unchanged when ``per_level`` is given or there are no strides; ``ValueError`` when ``k`` does
    not divide by the number of levels.
    """
    if settings.per_level is not None or settings.strides is None:
        return settings
    levels = len(settings.strides)
    if settings.k % levels:
        raise ValueError(f"k: {settings.k} shapes cannot be split evenly over {levels} levels")
    return replace(settings, per_level=(settings.k // levels,) * levels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DesignReport:
    """The design on all boxes, the verdict on held-out images, and the curve over k.

    ``verdict`` is None without held-out images, ``curve`` when it was not asked for.
    """

    design: Design
    verdict: Verdict | None
    curve: Curve | None
    images: int
    settings: DesignSettings

    @property
    def levels(self) -> tuple[PresetLevel, ...]:
        """Shapes by feature map, empty maps left out; one map of stride 32 without strides."""
        if self.design.levels is None:
            pairs = tuple((w, h) for w, h in self.design.shapes.tolist())
            return (PresetLevel(32.0, pairs),)
        return tuple(level for level in self.design.levels if level.shapes)

    def to_dict(self) -> dict[str, Any]:
        """What ``--json FILE`` holds: the design's keys, and ``verdict``, ``comparison``,
        ``curve``.
        """
        result = {**self.design.to_dict(), "images": self.images}
        if self.verdict is not None:
            result["verdict"] = {
                "keep": self.verdict.keep,
                "in_use": self.verdict.in_use,
                "gain": self.verdict.gain,
                "error": self.verdict.error,
                "boxes": self.verdict.boxes,
                "text": self.verdict.text,
            }
            result["comparison"] = [row_dict(row) for row in self.verdict.rows]
        if self.curve is not None:
            pairs = zip(self.curve.k, self.curve.value, strict=True)
            result["curve"] = {"k": self.curve.knee, "points": [list(p) for p in pairs]}
        return result

    def text(self) -> str:
        """Everything for a terminal, in plain lines."""
        design = self.design
        lines = [
            f"{design.boxes:,.0f} boxes in {self.images:,} images; objective {design.objective}, "
            f"{design.seconds:.2f} s",
            *(f"note: {note}" for note in design.notes),
            "",
        ]
        for stride, shapes in self.levels:
            where = "" if design.levels is None else f"stride {stride:g}: "
            lines.append(where + ", ".join(f"{w:.1f} x {h:.1f}" for w, h in shapes))
        if design.pyramid is not None:
            lines += ["", design.pyramid.text()]
        lines += ["", _metrics_line(design)]
        if self.verdict is not None:
            lines += ["", *comparison_lines(self.verdict), "", self.verdict.text]
        if self.curve is not None:
            what = "mean_iou" if design.objective == "placed" else design.objective
            lines += ["", f"{what} by number of shapes:", self.curve.text()]
            if self.curve.knee != len(design.shapes):
                lines.append(f"The curve bends at k = {self.curve.knee}.")
        return "\n".join(lines)


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
    text += f"; on the real grid {m.placed_recall:.1%} get a positive"
    if design.objective != "placed" and m.recall - m.placed_recall > _APART:
        text += " (--objective placed designs for that)"
    return text


@one_thread()
def design_command(table: BoxTable, settings: DesignSettings | None = None) -> DesignReport:
    """Design anchors for the boxes of a data set, and compare them with others on held-out images.

    The verdict comes from shapes designed without the held-out images; the shapes reported are then
    designed on all boxes. Deterministic by ``settings.seed``.

    Errors: ``ValueError`` when the data set holds no usable box, or for settings that ``fit``
    refuses.
    """
    settings = settings or DesignSettings()
    recipe = settings.recipe or letterbox(settings.image_size)
    seen = as_seen(table, recipe, settings.seed)
    sides = seen.wh
    good = np.isfinite(seen.xyxy).all(1) & (sides > 0).all(1)
    if not good.any():
        raise ValueError("the data set holds no box with positive, finite sides: nothing to design")
    design = _fit(seen, settings)
    clean = seen[good]
    verdict = _verdict(clean, settings) if settings.held_out > 0 else None
    return DesignReport(
        design=design,
        verdict=verdict,
        curve=_curve(clean, settings) if settings.curve and settings.pyramid is None else None,
        images=len(np.unique(seen.image)),
        settings=settings,
    )


def _fit(seen: BoxTable, settings: DesignSettings) -> Design:
    if settings.pyramid is not None:
        return fit_pyramid(
            seen.wh,
            *settings.pyramid,
            settings.objective,
            image_size=settings.image_size,
            strides=settings.strides or RETINANET_STRIDES,
            offset=settings.offset,
            centres=seen.centres,
            threshold=settings.threshold,
            restarts=max(1, settings.restarts // 4),
            seed=settings.seed,
        )
    return fit(
        seen.wh,
        settings.k,
        settings.objective,
        image_size=settings.image_size,
        strides=settings.strides,
        per_level=settings.per_level,
        in_order=settings.in_order,
        offset=settings.offset,
        centres=seen.centres if settings.strides else None,
        threshold=settings.threshold,
        method=settings.method,
        restarts=settings.restarts,
        seed=settings.seed,
    )


def _verdict(seen: BoxTable, settings: DesignSettings) -> Verdict | None:
    train, held = split_images(torch.from_numpy(seen.image), settings.held_out, settings.seed)
    if not bool(train.any()) or not bool(held.any()):
        return None
    design = _fit(seen[train.numpy()], settings)
    rest = seen[held.numpy()]
    rivals, in_use = _rivals(settings)
    return compare(
        Points.of(rest.wh, centres=rest.centres),
        torch.from_numpy(rest.image),
        _candidate(design.shapes, design.placed, settings),
        rivals,
        in_use=in_use,
    )


def _candidate(shapes: Tensor, placed: Placed | None, settings: DesignSettings) -> Candidate:
    if settings.objective != "placed":
        return Candidate(shapes, make_objective(settings.objective, settings.threshold), placed)
    assert placed is not None
    return Candidate(shapes, placed, placed)


def _published(found: Preset, settings: DesignSettings) -> Candidate:
    """A preset as published: on its own strides and offset, on this input size."""
    counts = torch.tensor([len(level.shapes) for level in found.levels])
    placed = Placed(
        floors=floors(found.strides, _sides(settings), found.offset),
        level=torch.arange(len(counts)).repeat_interleave(counts),
        threshold=_threshold(settings),
    )
    return _candidate(torch.tensor(found.shapes), placed, settings)


def _sides(settings: DesignSettings) -> tuple[int, int]:
    size = settings.image_size
    return (size, size) if isinstance(size, int) else size


def _threshold(settings: DesignSettings) -> float:
    given = settings.threshold if settings.objective == "placed" else None
    return 0.5 if given is None else given


def _rivals(settings: DesignSettings) -> tuple[dict[str, Candidate], str | None]:
    rivals = {name: _published(preset(name), settings) for name in settings.baselines}
    if settings.in_use is None:
        return rivals, None
    if isinstance(settings.in_use, str):
        found = preset(settings.in_use)
        rivals[found.name] = _published(found, settings)
        return rivals, found.name
    shapes = by_area(shapes_tensor(settings.in_use, "in_use"))
    placed = None
    if settings.strides is not None:
        ground = floors(settings.strides, _sides(settings), settings.offset)
        level = even_levels(ground, len(shapes), None)
        placed = Placed(floors=ground, level=level, threshold=_threshold(settings))
    rivals["in use"] = _candidate(shapes, placed, settings)
    return rivals, "in use"


def _curve(seen: BoxTable, settings: DesignSettings) -> Curve:
    points = Points.of(seen.wh)
    judge = _curve_objective(settings)
    problem = Problem(
        stages=stages_of_sizes(points, seen.sketch()), k=1, objective=judge, seed=settings.seed
    )
    return k_curve(problem, curve_ks(settings.k))


def _curve_objective(settings: DesignSettings) -> Objective:
    """What the curve shows; mean IoU for "placed", whose levels change with k."""
    if settings.objective == "placed":
        return MeanIoU()
    return make_objective(settings.objective, settings.threshold)


def curve_ks(k: int) -> Sequence[int]:
    """Numbers of shapes worth trying around ``k``: 1 to 15, or to half as many again."""
    return range(1, max(15, k + k // 2) + 1)
