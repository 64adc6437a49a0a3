"""What can be asked of a design: the settings of ``design_command`` and the flags of
``kedge design``."""

from dataclasses import dataclass
from typing import Literal

from kedge.design.balance import Balance
from kedge.design.fit_pyramid import RETINANET_STRIDES
from kedge.design.frameworks import FRAMEWORKS, FrameworkName, ResizeRule
from kedge.design.resizing import Resizing

_STRIDES = (8.0, 16.0, 32.0)
_BASELINES = ("yolov2_coco", "yolov2_voc", "yolov3_tiny", "yolov3", "retinanet", "faster_rcnn_fpn")


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignSettings:
    """What is asked of a design; every field is a flag of ``kedge design``.

    Errors: ``ValueError`` where the words contradict each other, or where the framework's heads
    cannot have so many shapes.

    Parameters
    ----------
    k
        Number of shapes; 9 by default. auto: where the curve over numbers of shapes bends. A
        pyramid has strides x scales x ratios.
    layout
        free: any shapes. pyramid: RetinaNet's form, a size for every level, and scales and ratios
        that all levels share.
    scales
        Scales of a pyramid; 3 by default.
    ratios
        Aspect ratios of a pyramid; 3 by default.
    image_size
        Side, or height and width, of the network's input; 640 by default. Of short-side: the
        shorter side and the most of the longer; 800 and 1333 by default, and in this proportion
        where one number is given.
    resize
        How images come to that size: letterbox, the whole image in the middle; stretch, whatever
        happens to the aspect ratio; short-side, torchvision's and Detectron2's way. By default what
        the framework does.
    multi_scale
        Smallest and largest shorter side of multi-scale training: every image is seen at up to six
        scales between them.
    strides
        Strides of the levels in pixels; 8 16 32 by default, of a pyramid 8 16 32 64 128.
    per_level
        Shapes on each level; by default where each serves best (an even split where the framework
        needs one).
    objective
        What to make large: mean best IoU; recall, the share of boxes with IoU of at least the
        threshold; bpr and fitness, YOLOv5's; placed, the share that gets a positive on the real
        grid.
    balance
        What counts the same: every object, or every class, as in a mean AP. By objects the most
        frequent class gets most of the shapes.
    threshold
        Of recall and placed (IoU, 0.5), or of bpr and fitness (ratio, 4).
    method
        best is ours; the others are there to compare with.
    in_use
        Your anchors: a preset's name, a design written by --json, a list such as 10x13,16x30 or
        10,13, 16,30, or lines of YOLOv5's or darknet's configuration. The verdict is then about
        them.
    baselines
        Presets to compare with, beside your own anchors.
    framework
        Print the shapes in the syntax of kedge, torchvision, detectron2, mmdetection, yolov5 or
        darknet.
    offset
        Where in its cell an anchor stands: 0.5 in the middle; 0 at the corner, as in torchvision
        and Detectron2.
    restarts
        Starts of the search.
    curve
        Also try other numbers of shapes, and say where the curve bends.
    compare
        Compare with published anchors, and yours, on images held out.
    seed
        The same seed gives the same shapes.
    """

    k: int | Literal["auto"] | None = None
    layout: Literal["free", "pyramid"] = "free"
    scales: int | None = None
    ratios: int | None = None
    image_size: int | tuple[int, int] | None = None
    resize: ResizeRule | None = None
    multi_scale: tuple[int, int] | None = None
    strides: tuple[float, ...] | None = None
    per_level: tuple[int, ...] | None = None
    objective: Literal["mean_iou", "recall", "bpr", "fitness", "placed"] = "mean_iou"
    balance: Balance = "objects"
    threshold: float | None = None
    method: Literal["best", "kmeans", "kmedians", "yolov5", "evolution"] = "best"
    in_use: str | tuple[tuple[float, float], ...] | None = None
    baselines: tuple[str, ...] = _BASELINES
    framework: FrameworkName = "kedge"
    offset: float = 0.5
    restarts: int = 64
    curve: bool = True
    compare: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        free = self.layout == "free"
        if free and (self.scales is not None or self.ratios is not None):
            raise ValueError("--scales and --ratios go with --layout pyramid")
        if not free and (self.k, self.per_level, self.method) != (None, None, "best"):
            raise ValueError(
                "--layout pyramid: its shapes are strides x scales x ratios, optimised directly; "
                "leave out --k, --per-level and --method"
            )
        if self.objective == "mean_iou" and self.threshold is not None:
            raise ValueError(
                "--threshold: the mean IoU has none; say --objective recall, placed, bpr or fitness"
            )
        assert self.resizing.sides, "it says what is wrong with sizes"
        if self.k == "auto":
            if self.per_level is not None:
                raise ValueError("--k auto: --per-level says how many; leave out one of them")
            return
        if free and self.number % self.multiple:
            levels = self.multiple
            raise ValueError(
                f"--k: {self.framework} needs as many shapes on each of the {levels} levels "
                f"({' '.join(f'{s:g}' for s in self.levels)}); {self.number} is no multiple of "
                f"{levels}: choose --k {levels * max(1, round(self.number / levels))}, or --strides"
            )

    @property
    def resizing(self) -> Resizing:
        """How images come to the input: as asked for, or what the framework does."""
        rule = self.resize or FRAMEWORKS[self.framework].resize
        return Resizing.of(rule, self.image_size, self.multi_scale)

    @property
    def levels(self) -> tuple[float, ...]:
        """Strides of the levels, the defaults filled in."""
        return self.strides or (RETINANET_STRIDES if self.layout == "pyramid" else _STRIDES)

    @property
    def pyramid(self) -> tuple[int, int] | None:
        """Scales and ratios of a pyramid; None for free shapes."""
        if self.layout == "free":
            return None
        return (
            3 if self.scales is None else self.scales,
            3 if self.ratios is None else self.ratios,
        )

    @property
    def number(self) -> int:
        """How many shapes; of "auto", before it is known, the default."""
        if self.pyramid is not None:
            return len(self.levels) * self.pyramid[0] * self.pyramid[1]
        return 9 if self.k is None or self.k == "auto" else self.k

    @property
    def multiple(self) -> int:
        """Of what the number of shapes must be a multiple: 1, or the levels of shared heads."""
        return len(self.levels) if self._shared_heads and self.per_level is None else 1

    @property
    def counts(self) -> tuple[int, ...] | None:
        """Shapes of every level: as asked for, equally many where the framework's heads need that,
        None where shapes may go where they serve best."""
        if self.multiple == 1 or self.layout == "pyramid":
            return self.per_level
        return (self.number // self.multiple,) * self.multiple

    @property
    def in_order(self) -> bool:
        """Whether smaller shapes go to finer levels, whatever they serve there."""
        return FRAMEWORKS[self.framework].in_order

    @property
    def _shared_heads(self) -> bool:
        return FRAMEWORKS[self.framework].shared_heads
