"""The setups of detectors by name, and of configurations of ``kedge train``."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.anchors.presets import Preset, preset
from kedge.counted import count
from kedge.data import Data
from kedge.design.saved import SavedDesign, load_design
from kedge.detectors import detector_class
from kedge.detectors.detector import Detector
from kedge.detectors.two_stage import Proposer
from kedge.doctor.setup import USUAL_SIZE, Setup
from kedge.losses import DenseLoss
from kedge.nn import without_downloads
from kedge.shape_text import is_design_file, is_shapes, parse_shapes
from kedge.train.config import TrainConfig
from kedge.train.make_detector import make_detector, sketch_of
from kedge.train.run import transforms_of
from kedge.train.seen_boxes import Seen, seen_boxes
from kedge.train.stages import first_stage
from kedge.train.start_shapes import start_shapes


def usual_size(name: str, anchors: str | None = None) -> tuple[int, int]:
    """(H, W) of the input for which a detector's ``anchors``, by default its published ones, were
    made: of a design, its own; of a preset for square inputs, that; else 640 x 640, also for
    anchors that are a list, or points.

    Raises ``ValueError`` as ``of_detector`` does.
    """
    chosen = anchors if anchors is not None else detector_class(name).published
    made = None if chosen is None else _named(chosen)
    if isinstance(made, SavedDesign) or (made and made.image_size[0] == made.image_size[1]):
        return made.image_size
    return USUAL_SIZE


def of_detector(
    name: str, image_size: tuple[int, int] | None = None, anchors: str | None = None
) -> Setup:
    """A detector as published, or on other ``anchors`` (a preset, or ``10x13,16x30``).

    ``image_size`` (H, W) of the network's input; None: ``usual_size``. Listed anchors are dealt out
    to the detector's levels in order of their area. Of a two-stage detector this is the first
    stage, which proposes regions.

    Raises ``ValueError`` for an unknown detector or preset, for a list that the levels cannot share
    evenly, and for ``anchors`` of a detector whose anchors are points.
    """
    detector = detector_class(name)(num_classes=1)
    image_size = image_size or usual_size(name, anchors)
    grid = detector.grid(image_size)
    if grid is None or detector.rule is None or detector.first_coder is None:
        raise ValueError(f"--detector: {name} has no anchors that could be looked at")
    title = f"{name}, its region proposals," if isinstance(detector, Proposer) else name
    flags = f"--detector {name} --image-size {image_size[0]} {image_size[1]}"
    if detector.shapes is None and anchors is not None:
        raise ValueError(f"--anchors: those of {name} are points, without shapes to replace")
    if detector.shapes is None:
        title += f" with a point in every cell of stride {words_of(detector.strides)}"
    else:
        levels, origin = list(detector.shapes.levels), "its default anchors"
        if detector.published is not None:
            base = preset(detector.published)
            levels = [Level(stride=s, shapes=m, offset=base.offset) for s, m in base.levels]
            origin = f"its published anchors ({base.name})"
        if anchors is not None:
            levels, origin = _other_levels(levels, anchors), f"anchors {anchors}"
            flags += f" --anchors {anchors}"
        grid, title = Grid(image_size, levels), f"{title} with {origin}"
    return Setup(
        title=title + _taught(detector),
        grid=grid.detach(),
        assign=detector.rule,
        coder=detector.first_coder,
        flags=flags,
        focal=detector.copes_with_background,
        fades=detector.fades,
        most=detector.most,
    )


def _counts_objects(detector: Detector) -> bool:
    """Whether every object counts the same in the loss of the first stage."""
    stage = first_stage(detector)
    return stage is not None and isinstance(stage.loss, DenseLoss) and stage.loss.per_object


def _taught(detector: Detector) -> str:
    """What anchors are not, where a detector predicts its own."""
    if not detector.predicts_anchors:
        return ""
    return ": the shapes by which cells learn to predict their anchors, no anchors themselves"


def words_of(strides: Sequence[float]) -> str:
    """``8, 16, 32``."""
    return ", ".join(f"{stride:g}" for stride in strides)


def _named(anchors: str) -> Preset | None:
    """The design or the preset that the words name; None where they list shapes."""
    if is_shapes(anchors) or "," in anchors:
        return None
    return load_design(anchors) if is_design_file(anchors) else preset(anchors)


def _other_levels(levels: Sequence[Level], anchors: str) -> list[Level]:
    found = _named(anchors)
    if found is not None:
        return [Level(stride=s, shapes=m, offset=found.offset) for s, m in found.levels]
    shapes = sorted(parse_shapes(anchors), key=lambda shape: shape[0] * shape[1])
    each, rest = divmod(len(shapes), len(levels))
    if rest:
        raise ValueError(
            f"--anchors: {len(levels)} levels cannot share {count(len(shapes), 'shape')} evenly"
        )
    return [
        replace(level, shapes=shapes[i * each : (i + 1) * each]) for i, level in enumerate(levels)
    ]


def of_config(
    config: TrainConfig, data: Data, flags: str, shapes: Sequence[Sequence[float]] | None = None
) -> Setup | None:
    """What ``kedge train`` would use with ``config`` on ``data``; or with the ``shapes`` of a run;
    None for a detector without anchors.

    Needs objects for anchors that are fitted to them (``kmeans``); ``ValueError`` otherwise.
    """
    sketch = sketch_of(config)
    if sketch.rule is None:
        return None
    if sketch.shapes is None:
        start, title = None, config.detector
    elif shapes is None:
        fitted = config.anchors == "kmeans"
        if fitted and data.num_boxes == 0:
            raise ValueError(f"{data.source}: has no objects to fit the anchors of {flags} to")
        transforms = transforms_of(config, colour=False)
        seen = Seen(np.zeros((0, 2), np.float32), np.zeros(0, np.int64))
        if fitted:
            seen = seen_boxes(data, transforms, config.seed, passes=1)
        start = start_shapes(config, sketch, seen)
        title = f"{config.detector} with anchors {config.anchors}"
    else:
        rest = iter([(float(w), float(h)) for w, h in shapes])
        counts = [len(level.shapes_tensor()) for level in sketch.shapes.levels]
        each = len(shapes) // len(counts) if len(set(counts)) == 1 else None
        start = [list(islice(rest, count if each is None else each)) for count in counts]
        title = f"{config.detector} with the shapes of the run"
    with without_downloads():
        detector = make_detector(config, max(1, len(data.classes)), start)
    grid, rule, coder = detector.grid(config.image_size), detector.rule, detector.first_coder
    if grid is None or rule is None or coder is None:
        return None
    return Setup(
        title=title + _taught(detector),
        grid=grid.detach(),
        assign=rule,
        coder=coder,
        flags=flags,
        focal=detector.copes_with_background,
        fades=detector.fades,
        per_object=_counts_objects(detector),
        configurable=True,
        fitted=detector.shapes is not None and config.anchors == "kmeans",
        most=detector.most,
    )
