"""The shapes that a run starts from."""

from collections.abc import Sequence

from kedge.anchors.presets import Shape, preset
from kedge.counted import count
from kedge.design.balance import balanced
from kedge.design.kmeans import kmeans
from kedge.design.on_levels import shapes_on_levels
from kedge.design.saved import load_design
from kedge.detectors.detector import Detector
from kedge.shape_text import is_design_file
from kedge.train.config import TrainConfig
from kedge.train.seen_boxes import Seen

LevelShapes = list[list[Shape]]  # per level, (w, h) in pixels


def start_shapes(config: TrainConfig, sketch: Detector, seen: Seen) -> LevelShapes | None:
    """Shapes per level for `config.anchors`; None for a detector without shapes.

    `sketch`: a detector of the kind, for its levels. `seen`: training boxes as the network sees
    them, for ``kmeans``. ``num_anchors``: by default as many as the sketch has on its
    finest level.

    ``balance``: what counts the same there, every object or every class.

    ``uniform`` and ``identical`` are Zhong et al.'s, in cells: 3 x 3, 3 x 9, 9 x 9, 9 x 3, 6 x 6,
    and 5 x 5 for every shape. A list or a preset with another number of levels is sorted
    by area and dealt out evenly, small shapes to fine levels. k-means knows nothing of levels: for
    several it gives way to the shapes with which most objects get a positive on the real grid.

    Errors: ``ValueError`` for shapes that are asked of a detector without, and for a name or a
    number that does not fit.
    """
    if sketch.shapes is None:
        _check_none_is_asked(config)
        return None
    _check_balance_is_used(config)
    levels = sketch.shapes.levels
    each = config.num_anchors or len(levels[0].shapes_tensor())
    return shapes_on(config, sketch.strides, float(levels[0].offset), seen, each)


def _check_none_is_asked(config: TrainConfig) -> None:
    for name in ("anchors", "num_anchors", "anchor_scale", "balance"):
        if getattr(config, name) != TrainConfig.model_fields[name].default:
            raise ValueError(f"{name}: {config.detector} has no anchor shapes; leave it out")


def _check_balance_is_used(config: TrainConfig) -> None:
    chosen = config.learn_anchors and config.shape_warmup in ("placed", "annealed")
    if config.balance != "objects" and config.anchors != "kmeans" and not chosen:
        raise ValueError(
            f"balance: {config.anchors!r} is not chosen for the data; it goes with anchors kmeans, "
            "learned shapes, and kedge design"
        )


def shapes_on(
    config: TrainConfig,
    strides: Sequence[float],
    offset: float,
    seen: Seen,
    each: int,
) -> LevelShapes:
    """Shapes for levels of `strides`, whose anchors stand at `offset` in their cells, `each` for a
    level where the name says no number: see ``start_shapes``."""
    levels = len(strides)
    if config.explicit_shapes is not None:
        shapes = _deal(config.explicit_shapes, levels, config.anchors)
    elif config.anchors == "kmeans":
        shapes = _from_boxes(config, strides, offset, seen, each)
    elif config.anchors == "identical":
        shapes = [[(5.0 * s, 5.0 * s)] * each for s in strides]
    elif config.anchors == "uniform":
        cells = ((3.0, 3.0), (3.0, 9.0), (9.0, 9.0), (9.0, 3.0), (6.0, 6.0))
        shapes = [[(w * s, h * s) for w, h in cells] for s in strides]
    else:
        shapes = _published(config.anchors, levels)
    factor = config.anchor_scale
    return [[(w * factor, h * factor) for w, h in level] for level in shapes]


def _from_boxes(
    config: TrainConfig,
    strides: Sequence[float],
    offset: float,
    seen: Seen,
    each: int,
) -> LevelShapes:
    weights = balanced(seen.label, config.balance)
    if len(strides) == 1:
        found = kmeans(seen.sizes, each, seed=config.seed, weights=weights).tolist()
        return [[(w, h) for w, h in found]]
    return shapes_on_levels(
        seen.sizes,
        image_size=config.image_size,
        strides=strides,
        per_level=[each] * len(strides),
        offset=offset,
        weights=weights,
        seed=config.seed,
    )


def _published(name: str, levels: int) -> LevelShapes:
    try:
        found = load_design(name) if is_design_file(name) else preset(name)
    except ValueError as error:
        raise ValueError(
            f"anchors: {error}; or kmeans, a file of kedge design --json, or a list such as "
            "10x13,16x30"
        ) from None
    if len(found.levels) == levels:
        return [list(level.shapes) for level in found.levels]
    return _deal(list(found.shapes), levels, name)


def _deal(shapes: list[Shape], levels: int, name: str) -> LevelShapes:
    """Shapes sorted by area, the same number to every level; one level keeps the order given."""
    if levels == 1:
        return [list(shapes)]
    each, rest = divmod(len(shapes), levels)
    if rest:
        raise ValueError(
            f"anchors: {name!r} has {count(len(shapes), 'shape')}, which {levels} levels cannot "
            "share evenly"
        )
    ordered = sorted(shapes, key=lambda shape: shape[0] * shape[1])
    return [ordered[i * each : (i + 1) * each] for i in range(levels)]
