"""What ``kedge design`` does, without the command line: boxes in, shapes and a verdict out."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kedge.anchors.presets import Preset, preset
from kedge.design.choose_k import Curve, k_curve
from kedge.design.compare import Candidate, Verdict, compare, split_images
from kedge.design.fit import fit, make_objective
from kedge.design.fit_pyramid import RETINANET_STRIDES, fit_pyramid
from kedge.design.kmeans import by_area
from kedge.design.network import as_seen, letterbox
from kedge.design.objectives import MeanIoU, Objective
from kedge.design.placed import Placed, floors
from kedge.design.points import Points, shapes_tensor
from kedge.design.problem import Problem, stages_of_sizes
from kedge.design.report import DesignReport
from kedge.design.result import Design
from kedge.design.search import even_levels
from kedge.design.settings import DesignSettings
from kedge.design.table import BoxTable
from kedge.design.threads import one_thread


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
