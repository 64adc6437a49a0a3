"""What can be asked of ``kedge design``."""

from dataclasses import dataclass, replace

from kedge.design.network import Recipe

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
