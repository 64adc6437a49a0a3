"""Anchors: places that may answer for objects, and the pair queries on them."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from torch import Tensor

from kedge.types.targets import Targets

P = TypeVar("P", covariant=True)  # kedge.anchors.Pairs, which is made of anchors and targets


class Anchors(Protocol[P]):
    """The anchors of a batch, one row each, and the pair queries on them.

    A row, or flat id, stands for one anchor of one image. Rows of an image are contiguous and the
    images ascend. On a ``Grid``, the same for every image, index order is level, then y, then x,
    then shape, and row ``image * N + index``; only ``kedge.anchors`` knows that. The queries skip
    ``ignore`` targets, which appear in ``covered`` only."""

    @property
    def per_image(self) -> int | None:
        """N where every image has equally many anchors, else None."""
        ...

    @property
    def per_level(self) -> tuple[int, ...] | None:
        """How many anchors of each level an image has, where the same for all and level by level
        in order, else None."""
        ...

    @property
    def num_levels(self) -> int:
        """L, the feature maps that the anchors stand on; 1 where there are none."""
        ...

    @property
    def shapes(self) -> Tensor | None:
        """(S, 2) w, h of the shapes that repeat in every cell; None where each box is its own."""
        ...

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(H, W) in pixels, or None where the anchors do not know it."""
        ...

    def total(self, batch: int) -> int:
        """M, the rows of a batch of so many images; ``ValueError`` where these are for another."""
        ...

    def count(self, batch: int) -> Tensor:
        """(B,) the rows of every image."""
        ...

    def image_of(self, rows: Tensor) -> Tensor:
        """(P,) the image of every row."""
        ...

    def boxes(self, rows: Tensor | None = None) -> Tensor:
        """(P, 4) anchor boxes of ``rows`` (P,); without them each box once."""
        ...

    def points(self, rows: Tensor | None = None) -> Tensor:
        """(P, 2) anchor centres x, y."""
        ...

    def shape_of(self, rows: Tensor | None = None) -> Tensor:
        """(P, 2) anchor width and height."""
        ...

    def shape_index(self, rows: Tensor) -> Tensor:
        """(P,) which of ``shapes`` an anchor has; ``ValueError`` where there are none."""
        ...

    def stride(self, rows: Tensor | None = None) -> Tensor:
        """(P, 2) cell size in pixels, x then y."""
        ...

    def level(self, rows: Tensor | None = None) -> Tensor:
        """(P,) pyramid level; 0 for all where there are no levels."""
        ...

    def level_strides(self) -> Tensor:
        """(L, 2) cell size x, y of every level; the largest where a level has several."""
        ...

    def cells(self, rows: Tensor) -> Tensor:
        """(P, 2) columns and rows of the map that an anchor stands on; ``ValueError`` without
        cells."""
        ...

    def pitch(self, rows: Tensor) -> Tensor:
        """(P, 2) by how many rows the next anchor of the same shape to the right, and the next one
        below, is further on; ``ValueError`` without cells."""
        ...

    def measure(self, a: Tensor, b: Tensor) -> Tensor:
        """(P,) how much anchor boxes (P, 4) overlap boxes (P, 4): the IoU, unless said."""
        ...

    def overlapping(
        self, targets: Targets, min_iou: float | Tensor, among: Tensor | None = None
    ) -> P:
        """Every pair with IoU >= ``min_iou`` (and > 0).

        Only anchors of unique rows ``among`` (Q,) if given; ``min_iou`` may then be (Q,), one for
        each.
        """
        ...

    def best(self, targets: Targets) -> P:
        """For every target the anchors of largest IoU, all ties; none where the IoU is 0."""
        ...

    def most_overlapping(self, targets: Targets, k: int) -> P:
        """For every target the ``k`` anchors of largest IoU > 0; equal IoU: the lowest anchor."""
        ...

    def inside(self, targets: Targets, region: Tensor | None = None, margin: float = 0.0) -> P:
        """Pairs whose anchor centre lies inside the target by more than ``margin`` pixels.

        ``region`` (G, 4) or (G, L, 4) replaces the target's box, for all levels or for each.
        """
        ...

    def nearest(self, targets: Targets, k: int) -> P:
        """The anchors at the ``k`` cells of every level nearest to the target's centre."""
        ...

    def closest(self, targets: Targets, k: int, by: Callable[[Tensor, Tensor], Tensor]) -> P:
        """For every target the ``k`` anchors with the largest ``by(anchor boxes, target boxes)``.

        A measure that falls as an anchor's centre moves away from the target's along either axis.
        """
        ...

    def in_cell(self, targets: Targets) -> P:
        """The anchors of the cell that holds the target's centre, on every level."""
        ...

    def covered(self, targets: Targets, min_iof: float = 0.5) -> Tensor:
        """Rows (Q,), unique, of anchors of which an ``ignore`` target covers the share
        ``min_iof``."""
        ...
