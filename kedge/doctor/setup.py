"""Setup: the anchors, the assignment and the coder that a data set meets in a detector."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.anchors.presets import preset
from kedge.assign.best_in_cell import BestInCell
from kedge.assign.max_iou import MaxIoU
from kedge.coders import DeltaCoder, YOLOv2Coder
from kedge.data import Data
from kedge.shape_text import parse_shapes
from kedge.train.config import TrainConfig
from kedge.types import Assigner, Coder

_PUBLISHED = {"retinanet": "retinanet", "yolov2": "yolov2_coco"}
DETECTORS = tuple(_PUBLISHED)
GOOD_FIT = 0.5  # IoU that counts as covered where a strategy has no threshold of its own


@dataclass(frozen=True, kw_only=True, eq=False)
class Setup:
    """What meets the objects: ``grid`` of the network's input, ``assign`` and ``coder``.

    ``title`` says for people what this is; ``flags`` are the words of a command line that mean it.
    ``focal``: the classification loss copes with rare positives. ``configurable``: the anchors come
    from settings of ``kedge train``, so a cure can name its flags.
    """

    title: str
    grid: Grid
    assign: Assigner
    coder: Coder
    flags: str
    focal: bool = False
    configurable: bool = False

    @property
    def threshold(self) -> float:
        """IoU from which an anchor answers for an object."""
        return self.assign.positive if isinstance(self.assign, MaxIoU) else GOOD_FIT

    @property
    def thresholded(self) -> bool:
        """Whether positives are a matter of an IoU threshold."""
        return isinstance(self.assign, MaxIoU)

    @property
    def rule(self) -> str:
        """The assignment in a few words."""
        if isinstance(self.assign, MaxIoU):
            rescue = "" if self.assign.low_quality == "none" else " and low-quality matches"
            return f"MaxIoU {self.assign.positive:g} / {self.assign.negative:g}{rescue}"
        return type(self.assign).__name__

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of the network's input."""
        return self.grid.image_size

    @property
    def strides(self) -> tuple[float, ...]:
        """Stride of every level (along y, where the axes differ)."""
        return tuple(float(level.strides[0]) for level in self.grid.levels)

    def with_shapes(self, shapes: Tensor) -> "Setup":
        """The same with other ``shapes`` (S, 2)."""
        return replace(self, grid=self.grid.with_shapes(shapes))

    def with_offset(self, offset: float) -> "Setup":
        """The same with the anchors' centres elsewhere in their cells."""
        levels = [replace(level, offset=offset) for level in self.grid.levels]
        return replace(self, grid=Grid(self.image_size, levels, self.grid.shapes))


def of_detector(
    name: str, image_size: tuple[int, int] = (640, 640), anchors: str | None = None
) -> Setup:
    """RetinaNet or YOLOv2 as published, or on other ``anchors`` (a preset, or ``10x13,16x30``).

    Listed anchors are dealt out to the detector's levels in order of their area.

    Raises ``ValueError`` for an unknown detector or preset, and for a list that the levels cannot
    share evenly.
    """
    if name not in _PUBLISHED:
        raise ValueError(f"--detector: expected one of {', '.join(DETECTORS)}, got {name!r}")
    base = preset(_PUBLISHED[name])
    levels = [Level(stride=s, shapes=m, offset=base.offset) for s, m in base.levels]
    flags = f"--detector {name} --image-size {image_size[0]} {image_size[1]}"
    title = f"{name} with its published anchors ({base.name})"
    if anchors is not None:
        levels = _other_levels(levels, anchors)
        flags += f" --anchors {anchors}"
        title = f"{name} with anchors {anchors}"
    grid = Grid(image_size, levels)
    if name == "yolov2":
        return Setup(title=title, grid=grid, assign=BestInCell(), coder=YOLOv2Coder(), flags=flags)
    return Setup(
        title=title,
        grid=grid,
        assign=MaxIoU(positive=0.5, negative=0.4),
        coder=DeltaCoder(),
        flags=flags,
        focal=True,
    )


def _other_levels(levels: Sequence[Level], anchors: str) -> list[Level]:
    if not any(c.isdigit() for c in anchors.split("x")[0]) and "," not in anchors:
        found = preset(anchors)
        return [Level(stride=s, shapes=m, offset=found.offset) for s, m in found.levels]
    shapes = sorted(parse_shapes(anchors), key=lambda shape: shape[0] * shape[1])
    each, rest = divmod(len(shapes), len(levels))
    if rest:
        raise ValueError(
            f"--anchors: {len(levels)} levels cannot share {len(shapes)} shapes evenly"
        )
    return [
        replace(level, shapes=shapes[i * each : (i + 1) * each]) for i, level in enumerate(levels)
    ]


def of_config(
    config: TrainConfig, data: Data, flags: str, shapes: Sequence[Sequence[float]] | None = None
) -> Setup:
    """What ``kedge train`` would use with ``config`` on ``data``; or with the ``shapes`` of a run.

    Needs objects for anchors that are fitted to them (``kmeans``); ``ValueError`` otherwise.
    """
    from kedge.train.make_detector import build_detector, strides_of
    from kedge.train.run import transforms_of
    from kedge.train.seen_sizes import seen_sizes
    from kedge.train.start_shapes import start_shapes

    strides = strides_of(config)
    if shapes is None:
        fitted = config.anchors == "kmeans"
        if fitted and data.num_boxes == 0:
            raise ValueError(f"{data.source}: has no objects to fit the anchors of {flags} to")
        transforms = transforms_of(config, colour=False)
        seen = seen_sizes(data, transforms, config.seed, passes=1) if fitted else torch.zeros(0, 2)
        start = start_shapes(config, strides, seen)  # pyright: ignore[reportArgumentType]
        title = f"{config.detector} with anchors {config.anchors}"
    else:
        each = len(shapes) // len(strides)
        pairs = [(float(w), float(h)) for w, h in shapes]
        start = [pairs[i * each : (i + 1) * each] for i in range(len(strides))]
        title = f"{config.detector} with the shapes of the run"
    detector = build_detector(config, max(1, len(data.classes)), start)
    return Setup(
        title=title,
        grid=detector.anchors(config.image_size).detach(),
        assign=detector.assign,
        coder=detector.coder,
        flags=flags,
        focal=config.detector == "retinanet",
        configurable=True,
    )
