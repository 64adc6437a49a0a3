"""Detector: what the trainer, the doctor and the reports may expect of any detector."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, overload, runtime_checkable

from torch import Tensor

from kedge.anchors import Grid, LearnedShapes
from kedge.coders import Coder
from kedge.detectors.found import Found
from kedge.detectors.images import batch_images, image_sizes, pack_targets
from kedge.detectors.predict import detect_in, evaluating
from kedge.detectors.resize import Placed, Resize, moved
from kedge.detectors.stage import Outcome
from kedge.swappable import Swappable
from kedge.types import Assigner, Detections, Predictions, Targets


@runtime_checkable
class HasProposals(Protocol):
    """A detector that first says where objects may be, whatever their class."""

    def propose(self, images: Tensor, sizes: Tensor | None = None) -> Detections:
        """The proposals of a batch (B, 3, H, W), best first, of class 0; boxes within ``sizes``
        (B, 2)."""
        ...


class Detector(Swappable, ABC):
    """A detector speaks torchvision's language.

    In training ``model(images, targets)`` returns a dictionary of losses to add up; in evaluation
    ``model(images)`` returns one dictionary of ``boxes`` (n, 4) ``xyxy`` pixels, ``labels`` (n,)
    and ``scores`` (n,) per image. Images are float (3, H, W) in [0, 1], of any sizes; labels are
    0-based, without a background class; ``iscrowd`` objects are never learned from.

    Attributes: ``num_classes``; ``strides``, the levels' steps in pixels, finest first; ``shapes``,
    the anchor shapes, None where the detector has none; ``multiple``, what image sides are padded
    to; ``smallest``, the smallest side accepted, one cell of the finest level; ``progress``, the
    share of the training that is over, which a trainer sets (some strategies change on the way);
    ``class_names``, ``category_ids`` (the labels' ids in the training data) and ``input_size``
    (H, W), which ``kedge.load`` knows and ``predict`` uses, None by default; ``resize``, what
    happens to images on their way in and to boxes on their way out, None: nothing.

    ``published`` names the preset of the anchors that its paper has, where there is one.
    ``predicts_anchors``: ``shapes`` are no anchors, but what teaches cells to predict theirs.
    ``learns_extremes``: it looks at ``Targets.extremes``, so that polygons are worth reading.

    A subclass defines ``losses`` and ``detect``. One with anchors also says what its first stage is
    (``grid``, ``head``, ``rule``, ``first_coder``), which is what the doctor looks at.
    """

    published: ClassVar[str | None] = None
    predicts_anchors: ClassVar[bool] = False
    learns_extremes: ClassVar[bool] = False

    def __init__(
        self,
        *,
        num_classes: int,
        strides: Sequence[float],
        shapes: LearnedShapes | None,
        multiple: int,
        smallest: int,
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}")
        self.num_classes = num_classes
        self.strides = tuple(float(stride) for stride in strides)
        self.shapes = shapes
        self.multiple = multiple
        self.smallest = smallest
        self.progress = 0.0
        self.class_names: tuple[str, ...] | None = None
        self.category_ids: tuple[int, ...] | None = None
        self.input_size: tuple[int, int] | None = None
        self.resize: Resize | None = None

    @abstractmethod
    def losses(
        self,
        images: Tensor,
        targets: Targets,
        *,
        sizes: Tensor | None = None,
        assign: Assigner | None = None,
    ) -> Outcome:
        """The losses of a batch (B, 3, H, W); ``ValueError`` for labels that are no class.

        ``sizes`` (B, 2): height and width of the images within the batch, its own by default.
        ``assign`` overrides the strategy of the first stage (soft warm-up).
        """

    @abstractmethod
    def detect(self, images: Tensor, sizes: Tensor | None = None) -> Detections:
        """The detections of a batch (B, 3, H, W), boxes clipped to ``sizes`` (B, 2)."""

    # -- the first stage: what it looks like, where there are anchors ------------------------------

    def grid(self, image_size: tuple[int, int]) -> Grid | None:
        """The anchors for a batch of images (H, W); None without anchors."""
        del image_size
        return None

    def head(self, images: Tensor) -> Predictions | None:
        """What it says at its anchors, for a batch (B, 3, H, W); None without anchors."""
        del images
        return None

    def first_targets(self, targets: Targets) -> Targets:
        """The objects as ``rule`` gets them with what ``head`` says: as they are, or, where a first
        stage proposes, all of one class."""
        return targets

    @property
    def rule(self) -> Assigner | None:
        """Which anchor answers for which object; None without anchors."""
        return None

    @property
    def first_coder(self) -> Coder | None:
        """How boxes are written relative to the anchors; None without anchors."""
        return None

    def heat_maps(self, images: Tensor) -> dict[str, Tensor]:
        """What it sees where, for people: maps (B, C, H, W) in [0, 1] by name, of a batch (B, 3, H,
        W), padding included; none where it has no such."""
        del images
        return {}

    @property
    def selecting(self) -> Any:
        """What holds the ``selection`` of detections: its regions, or the detector itself; None
        where neither has any."""
        stage = getattr(self, "regions", self)
        return stage if hasattr(stage, "selection") else None

    @property
    def most(self) -> int | None:
        """Detections of an image that it returns at most; None where nothing limits them."""
        return None if self.selecting is None else self.selecting.selection.most

    @property
    def copes_with_background(self) -> bool:
        """Whether the first stage's class loss copes with positives that are rare."""
        return True

    @property
    def fades(self) -> bool:
        """Whether objectness is learned by squared errors of a sigmoid: their gradient fades with
        it where nearly all is background."""
        return False

    @overload
    def predict(
        self, image: list[Any] | tuple[Any, ...], *, min_score: float | None = None
    ) -> list[Found]: ...

    @overload
    def predict(self, image: Any, *, min_score: float | None = None) -> Found: ...

    def predict(self, image: Any, *, min_score: float | None = None) -> Found | list[Found]:
        """What is in an image, in pixels of that image.

        ``image``: a path, a Pillow image, an array (H, W, 3) or (H, W), or a tensor (3, H, W), of
        bytes or of floats in [0, 1]; a list or tuple of them gives a list. It is letterboxed into
        ``input_size``, or taken as large as it is where the detector has none. ``min_score`` leaves
        out what scores less; the detector's selection may have left out more before. The detector
        goes back to the mode that it was in.

        Raises ``ValueError`` naming the file, or what an image must be.
        """
        if min_score is not None and not 0 <= min_score <= 1:
            raise ValueError(f"min_score must be in [0, 1], got {min_score}")
        several = isinstance(image, (list, tuple))
        with evaluating(self):
            found = [self._found(one, min_score) for one in (image if several else [image])]
        return found if several else found[0]

    def _found(self, image: Any, min_score: float | None) -> Found:
        device = next(self.parameters()).device
        rows, picture = detect_in(
            self, image, input_size=self.input_size, device=device, min_score=min_score
        )
        return Found(
            **vars(rows),
            picture=picture,
            class_names=self.class_names,
            category_ids=self.category_ids,
        )

    def forward(
        self,
        images: Sequence[Tensor] | Tensor,
        targets: Sequence[Mapping[str, Any]] | None = None,
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Losses in training, detections in evaluation (``targets`` are then not looked at)."""
        placed = self._place(images, targets)
        if placed.targets is not None:
            return self.losses(placed.images, placed.targets, sizes=placed.sizes).losses
        return placed.back(self.detect(placed.images, placed.sizes))

    def _place(
        self, images: Sequence[Tensor] | Tensor, targets: Sequence[Mapping[str, Any]] | None
    ) -> Placed:
        """Images of any sizes as the batch that the network sees; targets in training only."""
        if self.training and targets is None:
            raise ValueError("in training a detector needs targets: model(images, targets)")
        place = batch_images if self.resize is None else self.resize
        batch, sizes = place(images, smallest=self.smallest)
        original, packed = image_sizes(images), None
        if self.training:
            packed = moved(pack_targets(targets or [], len(batch)), original, sizes)
        return Placed(batch, sizes, original, packed)
