"""What ``kedge design`` does, without the command line: boxes in, shapes and a verdict out."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from kedge.design.balance import balanced
from kedge.design.choose_k import Curve, k_curve
from kedge.design.compare import Verdict, fold_images, judge, split_images
from kedge.design.fit import fit, make_objective
from kedge.design.fit_pyramid import fit_pyramid
from kedge.design.judging import Trial
from kedge.design.network import Recipe, as_seen
from kedge.design.objectives import MeanIoU, Objective
from kedge.design.points import Points
from kedge.design.problem import Problem, stages_of_sizes
from kedge.design.report import DesignReport
from kedge.design.result import Design
from kedge.design.rivals import candidate, rivals
from kedge.design.settings import DesignSettings
from kedge.design.sketch import Sketch
from kedge.design.table import BoxTable
from kedge.design.threads import one_thread

_HELD_OUT = 0.2  # share of the images on which sets of shapes are compared
WITHOUT_CLASSES = "says no classes that could count the same"
_FOLDS, _MANY = 5, 100  # of fewer images than these, every one is held out once


@one_thread()
def design_command(
    table: BoxTable, settings: DesignSettings | None = None, recipe: Recipe | None = None
) -> DesignReport:
    """Design anchors for the boxes of a data set, and compare them with others on held-out images.

    The verdict comes from shapes designed without the held-out images; the shapes reported are then
    designed on all boxes. ``recipe``: the training recipe, instead of resizing alone.
    Deterministic by ``settings.seed``.

    Errors: ``ValueError`` when the data set holds no object, or no usable box, or for settings that
    ``fit`` refuses.
    """
    if len(table) == 0:
        raise ValueError("holds no object: nothing to design")
    settings = settings or DesignSettings()
    if settings.balance == "classes" and (table.label < 0).all():
        raise ValueError(f"{WITHOUT_CLASSES}: leave out --balance")
    chosen = recipe or settings.resizing.recipe
    everything = as_seen(table, chosen, settings.seed)
    seen = everything[np.isfinite(everything.xyxy).all(1) & (everything.wh > 0).all(1)]
    if len(seen) == 0:
        raise ValueError("the data set holds no box with positive, finite sides: nothing to design")
    canvas = canvas_of(seen)
    wanted = settings.k == "auto" or (settings.curve and settings.pyramid is None)
    curve = _curve(seen, settings) if wanted else None
    if curve is not None and settings.k == "auto":
        settings = replace(settings, k=curve.knee)
    return DesignReport(
        design=fit_to(seen.wh, seen.centres, settings, canvas, _weights(seen, settings)),
        verdict=_verdict(seen, settings, canvas, chosen.passes) if settings.compare else None,
        curve=curve,
        images=len(np.unique(seen.image)),
        settings=settings,
        seen=seen,
        passes=chosen.passes,
        dropped=(len(everything) - len(seen)) // chosen.passes,
    )


def canvas_of(seen: BoxTable) -> tuple[int, int]:
    """Height and width into which every input fits: where the anchors' grid ends."""
    height, width = np.ceil(seen.size.max(0)).tolist()
    return int(height), int(width)


def fit_to(
    wh: np.ndarray | Sketch,
    centres: np.ndarray | None,
    settings: DesignSettings,
    canvas: tuple[int, int],
    weights: np.ndarray | None = None,
) -> Design:
    """The design for sizes, or their sketch; without ``centres`` boxes stand evenly."""
    if settings.pyramid is not None:
        return fit_pyramid(
            wh,
            *settings.pyramid,
            settings.objective,
            image_size=canvas,
            strides=settings.levels,
            offset=settings.offset,
            centres=centres,
            threshold=settings.threshold,
            restarts=max(1, settings.restarts // 4),
            weights=weights,
            seed=settings.seed,
        )
    return fit(
        wh,
        settings.number,
        settings.objective,
        image_size=canvas,
        strides=settings.levels,
        per_level=settings.counts,
        in_order=settings.in_order,
        offset=settings.offset,
        centres=centres,
        threshold=settings.threshold,
        method=settings.method,
        restarts=settings.restarts,
        weights=weights,
        seed=settings.seed,
    )


def _weights(seen: BoxTable, settings: DesignSettings) -> np.ndarray | None:
    """What every box counts; None: 1."""
    return balanced(seen.label, settings.balance)


def _verdict(
    seen: BoxTable, settings: DesignSettings, canvas: tuple[int, int], passes: int
) -> Verdict | None:
    """None where there is a single image. Few images are all held out, a part at a time."""
    image = torch.from_numpy(seen.image)
    images = len(torch.unique(image))
    if images < 2:
        return None
    if images < _MANY:
        parts = fold_images(image, _FOLDS, settings.seed)
    else:
        parts = [split_images(image, _HELD_OUT, settings.seed)[1]]
    trials = []
    for held in (part.numpy() for part in parts):
        kept, rest = seen[~held], seen[held]
        design = fit_to(kept.wh, kept.centres, settings, canvas, _weights(kept, settings))
        weight = _weights(rest, settings)
        weight = np.ones(len(rest), np.float32) if weight is None else weight
        assert design.placed is not None, "there are strides"
        trials.append(
            Trial(
                Points.of(rest.wh, weight / passes, rest.centres),
                torch.from_numpy(rest.image),
                candidate(design.shapes, design.placed, settings),
            )
        )
    others, in_use = rivals(settings, canvas)
    return judge(trials, others, in_use)


def _curve(seen: BoxTable, settings: DesignSettings) -> Curve:
    weight = _weights(seen, settings)
    points = Points.of(seen.wh, weight)
    judge = _curve_objective(settings)
    problem = Problem(
        stages=stages_of_sizes(points, Sketch.of(seen.wh, weight=weight)),
        k=1,
        objective=judge,
        seed=settings.seed,
    )
    return k_curve(problem, curve_ks(settings.number, settings.multiple))


def _curve_objective(settings: DesignSettings) -> Objective:
    """What the curve shows; mean IoU for "placed", whose levels change with k."""
    if settings.objective == "placed":
        return MeanIoU()
    return make_objective(settings.objective, settings.threshold)


def curve_ks(k: int, multiple: int = 1) -> Sequence[int]:
    """Numbers of shapes worth trying around ``k``: up to 15, or to half as many again; multiples of
    ``multiple``, three at least, or there is nothing to bend.
    """
    return range(multiple, max(15, k + k // 2, 3 * multiple) + 1, multiple)
