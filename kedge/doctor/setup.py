"""Setup: the anchors, the assignment and the coder that a data set meets in a detector."""

from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from kedge.anchors.grid import Grid
from kedge.anchors.measures import name_of
from kedge.assign.guaranteed import Guaranteed, without_guarantee
from kedge.assign.max_iou import MaxIoU
from kedge.assign.predictions_read import needs_predictions
from kedge.doctor.counting import Candidates
from kedge.types import Assigner, Coder

GOOD_FIT = 0.5  # IoU that counts as covered where a strategy has no threshold of its own
USUAL_SIZE = (640, 640)


@dataclass(frozen=True, kw_only=True, eq=False)
class Setup:
    """What meets the objects: ``grid`` of the network's input, ``assign`` and ``coder``.

    ``title`` says for people what this is; ``flags`` are the words of a command line that mean it.
    ``focal``: the classification loss copes with rare positives; ``fades``: objectness is learned
    by squared errors, which do not; ``per_object``: every object counts the same in the loss.
    ``configurable``: the anchors come from settings of ``kedge train``, so a cure can name its
    flags. ``fitted``: they are fitted to the objects, so they grow with the input. ``most``:
    detections of an image that the detector returns at most; None where it has no such limit.
    """

    title: str
    grid: Grid
    assign: Assigner
    coder: Coder
    flags: str
    focal: bool = False
    fades: bool = False
    per_object: bool = False
    configurable: bool = False
    fitted: bool = False
    most: int | None = None

    @property
    def points(self) -> bool:
        """Whether the anchors are points: they have no shapes that could fit or not."""
        return all(level.shapes is None for level in self.grid.levels)

    @property
    def base(self) -> Assigner:
        """The strategy, without a guarantee around it."""
        return without_guarantee(self.assign)

    def with_rule(self, base: Assigner) -> "Setup":
        """The same with another strategy, under the guarantee that there is."""
        made = Guaranteed(strategy=base) if isinstance(self.assign, Guaranteed) else base
        return replace(self, assign=made)

    @cached_property
    def by_predictions(self) -> bool:
        """Whether the strategy chooses by what a detector predicts: only its candidates are known
        before there is one."""
        return needs_predictions(self.assign, self.grid)

    @cached_property
    def counted(self) -> Assigner:
        """The strategy, or what stands for its candidates."""
        if not self.by_predictions:
            return self.assign
        return self.with_rule(Candidates(rule=self.base)).assign

    @property
    def by_iou(self) -> MaxIoU | None:
        """The strategy, where positives are a matter of thresholds of the IoU."""
        rule = self.base
        return rule if isinstance(rule, MaxIoU) and rule.measure == "iou" else None

    @property
    def threshold(self) -> float:
        """IoU from which an anchor answers for an object."""
        return GOOD_FIT if self.by_iou is None else self.by_iou.positive

    @property
    def thresholded(self) -> bool:
        """Whether positives are a matter of an IoU threshold."""
        return self.by_iou is not None

    @property
    def rule(self) -> str:
        """The assignment in a few words."""
        rule, words = self.base, type(self.base).__name__
        if isinstance(rule, MaxIoU):
            rescue = "" if rule.low_quality == "none" else " and low-quality matches"
            words = "MaxIoU" if self.thresholded else f"MaxIoU by {name_of(rule.measure)}"
            words += f" {rule.positive:g} / {rule.negative:g}{rescue}"
        elif self.by_predictions:
            words += ", which chooses by predictions: its candidates are counted"
        sure = isinstance(self.assign, Guaranteed)
        return words + "; and an anchor for every object left without" * sure

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

    def at(self, image_size: tuple[int, int]) -> "Setup":
        """The same in an input of another size (H, W)."""
        levels = [replace(level, size=None) for level in self.grid.levels]
        grid = Grid(image_size, levels, self.grid.shapes)
        if self.fitted and not self.points:
            growth = min(new / old for new, old in zip(image_size, self.image_size))
            grid = grid.with_shapes(growth * self.grid.shapes)
        return replace(self, grid=grid)

    def with_offset(self, offset: float) -> "Setup":
        """The same with the anchors' centres elsewhere in their cells."""
        levels = [replace(level, offset=offset) for level in self.grid.levels]
        return replace(self, grid=Grid(self.image_size, levels, self.grid.shapes))
