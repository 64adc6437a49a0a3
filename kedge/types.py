"""The contracts that every room speaks: Targets, Predictions, Assignment, Detections.

All are packed: one row per object, pair or detection of the whole batch, with no padding. They are
validated where they are built, and the error names the image and the row.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Tensor

from kedge.outcome import Report, report

if TYPE_CHECKING:
    from kedge.anchors.pairs import Pairs

BACKGROUND, IGNORED = -1, -2


class Coder(Protocol):
    """How a box is written relative to its anchor. ``stride`` is the cell size (P, 2) in pixels, x
    then y."""

    def encode(self, anchor_boxes: Tensor, boxes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Codes (P, D) that ``decode`` turns back into ``boxes`` (P, 4)."""
        ...

    def decode(self, anchor_boxes: Tensor, codes: Tensor, stride: Tensor | None = None) -> Tensor:
        """Boxes (P, 4) for ``codes`` (P, D) at ``anchor_boxes`` (P, 4)."""
        ...


class Anchors(Protocol):
    """N anchors, the same for every image of a batch or one set per image, and the pair queries on
    them.

    Index order is level, then y, then x, then shape; ``image * N + index`` is an anchor's flat id.
    The queries skip ``ignore`` targets, which appear in ``covered`` only."""

    def __len__(self) -> int:
        """N, anchors per image."""
        ...

    def local(self, flat: Tensor) -> Tensor:
        """What ``boxes``, ``stride`` and ``level`` take, for flat ids (P,)."""
        ...

    def boxes(self, index: Tensor | None = None) -> Tensor:
        """Anchor boxes (P, 4) of ``index`` (P,); all (N, 4) without it."""
        ...

    def points(self, index: Tensor | None = None) -> Tensor:
        """Anchor centres (P, 2) x, y."""
        ...

    def shape_of(self, index: Tensor | None = None) -> Tensor:
        """Anchor width and height (P, 2)."""
        ...

    def stride(self, index: Tensor | None = None) -> Tensor:
        """Cell size (P, 2) in pixels, x then y."""
        ...

    def level(self, index: Tensor | None = None) -> Tensor:
        """(P,) pyramid level of ``index``; 0 for all where there are no levels."""
        ...

    def overlapping(
        self, targets: "Targets", min_iou: float | Tensor, among: Tensor | None = None
    ) -> "Pairs":
        """Every pair with IoU >= ``min_iou`` (and > 0).

        Only anchors of unique flat ids ``among`` (Q,) if given; ``min_iou`` may then be (Q,), one
        for each.
        """
        ...

    def best(self, targets: "Targets") -> "Pairs":
        """For every target the anchors of largest IoU, all ties; none where the IoU is 0."""
        ...

    def inside(
        self, targets: "Targets", region: Tensor | None = None, margin: float = 0.0
    ) -> "Pairs":
        """Pairs whose anchor centre lies inside the target by more than ``margin`` pixels.

        ``region`` (G, 4) or (G, L, 4) replaces the target's box, for all levels or for each.
        """
        ...

    def nearest(self, targets: "Targets", k: int) -> "Pairs":
        """The anchors at the ``k`` cells of every level nearest to the target's centre."""
        ...

    def closest(
        self, targets: "Targets", k: int, by: Callable[[Tensor, Tensor], Tensor]
    ) -> "Pairs":
        """For every target the ``k`` anchors with the largest ``by(anchor boxes, target boxes)``.

        A measure that falls as an anchor's centre moves away from the target's along either axis.
        """
        ...

    def in_cell(self, targets: "Targets") -> "Pairs":
        """The anchors of the cell that holds the target's centre, on every level."""
        ...

    def covered(self, targets: "Targets", min_iof: float = 0.5) -> Tensor:
        """Flat ids (Q,), unique, of anchors of which an ``ignore`` target covers the share
        ``min_iof``."""
        ...


def _where_bad(bad: Tensor, image: Tensor) -> str:
    row = int(bad.nonzero()[0, 0])
    before = int((image[:row] == image[row]).sum())
    return f"image {int(image[row])}, object {before} (row {row})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Targets:
    """The ground truth of a batch, packed.

    Attributes:
        boxes: (G, 4) float ``xyxy`` pixels, finite, ``x1 <= x2`` and ``y1 <= y2``. A box without
            area is accepted, overlaps nothing (IoU 0) and is counted in the diagnostics.
        labels: (G,) int64, 0-based class index.
        image: (G,) int64, ascending: the image of each object, in ``[0, batch_size)``.
        ignore: (G,) bool: a crowd. Never a positive; the anchors that it covers are ignored.
        batch_size: number of images, those without objects included.
    """

    boxes: Tensor
    labels: Tensor
    image: Tensor
    batch_size: int
    ignore: Tensor = None  # pyright: ignore[reportAssignmentType]  # None means: no crowds

    def __post_init__(self) -> None:
        if self.ignore is None:
            object.__setattr__(self, "ignore", torch.zeros_like(self.image, dtype=torch.bool))
        if not self.boxes.is_floating_point():
            object.__setattr__(self, "boxes", self.boxes.float())
        self._check()

    def _check(self) -> None:
        boxes, image, count = self.boxes, self.image, len(self.image)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"Targets.boxes must be (G, 4) xyxy, got {tuple(boxes.shape)}")
        for name in ("labels", "ignore"):
            if getattr(self, name).shape != (len(boxes),):
                shape = tuple(getattr(self, name).shape)
                raise ValueError(f"Targets.{name} must be ({len(boxes)},) like boxes, got {shape}")
        if count != len(boxes):
            raise ValueError(f"Targets.image must be ({len(boxes)},) like boxes, got ({count},)")
        if count == 0:
            return
        finite = torch.isfinite(boxes).all(1)
        flipped = (boxes[:, 2:] < boxes[:, :2]).any(1)
        misplaced = (image < 0) | (image >= self.batch_size) | (self.labels < 0)
        unsorted = torch.zeros_like(misplaced)
        unsorted[1:] = image[1:] < image[:-1]
        # one transfer to the host for all four checks
        if bool((~finite | flipped | misplaced | unsorted).any()):
            self._explain(finite, flipped, misplaced, unsorted)

    def _explain(
        self, finite: Tensor, flipped: Tensor, misplaced: Tensor, unsorted: Tensor
    ) -> None:
        for bad, what in (
            (~finite, "has a NaN or infinite box"),
            (flipped, "has a flipped box (x2 < x1 or y2 < y1); boxes are xyxy, not xywh"),
            (misplaced, "has an image index outside the batch or a negative label"),
            (unsorted, "is out of order: sort the objects by image"),
        ):
            if bool(bad.any()):
                row = self.boxes[bad.nonzero()[0, 0]].tolist()
                raise ValueError(f"target of {_where_bad(bad, self.image)} {what}: {row}")

    @classmethod
    def from_list(cls, targets: Sequence[Mapping[str, Any]]) -> "Targets":
        """Packs torchvision's target dictionaries, one per image.

        Each has ``boxes`` (n, 4) and optionally ``labels`` (n,) (default 0) and ``iscrowd`` (n,)
        (default 0)."""
        boxes = [torch.as_tensor(t["boxes"]).reshape(-1, 4) for t in targets]
        if not boxes:
            empty = torch.zeros(0, dtype=torch.int64)
            return cls(boxes=torch.zeros(0, 4), labels=empty, image=empty, batch_size=0)
        device = boxes[0].device

        def column(key: str, dtype: torch.dtype) -> Tensor:
            rows = []
            for i, (target, box) in enumerate(zip(targets, boxes)):
                value = target.get(key)
                row = (
                    torch.zeros(len(box), device=device)
                    if value is None
                    else torch.as_tensor(value)
                )
                if row.numel() != len(box):
                    raise ValueError(
                        f"target of image {i}: {key!r} has {row.numel()} entries "
                        f"for {len(box)} boxes"
                    )
                rows.append(row.reshape(-1).to(device=device, dtype=dtype))
            return torch.cat(rows)

        count = torch.tensor([len(b) for b in boxes], device=device)
        return cls(
            boxes=torch.cat([b if b.is_floating_point() else b.float() for b in boxes]),
            labels=column("labels", torch.int64),
            image=torch.arange(len(boxes), device=device).repeat_interleave(count),
            ignore=column("iscrowd", torch.bool),
            batch_size=len(boxes),
        )

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def count(self) -> Tensor:
        """(B,) objects per image, crowds included."""
        return torch.bincount(self.image, minlength=self.batch_size)

    @property
    def first(self) -> Tensor:
        """(B,) row of the first object of every image."""
        count = self.count
        return count.cumsum(0) - count

    def to(self, device: torch.device | str) -> "Targets":
        """The same targets on ``device``."""
        moved = {k: getattr(self, k).to(device) for k in ("boxes", "labels", "image", "ignore")}
        return replace(self, **moved)


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """What a detector says at every anchor, read only where a strategy asks.

    Attributes:
        logits: (B, N, C) raw class scores.
        codes: (B, N, D) raw box outputs, or boxes (B, N, 4) when ``coder`` is None.
        objectness: (B, N) raw scores of detectors that have such a branch, else None.
    """

    logits: Tensor
    codes: Tensor
    anchors: Anchors | None = None
    coder: Coder | None = None
    objectness: Tensor | None = None

    def __post_init__(self) -> None:
        if self.logits.ndim != 3 or self.codes.ndim != 3:
            shapes = tuple(self.logits.shape), tuple(self.codes.shape)
            raise ValueError(
                f"Predictions needs logits (B, N, C) and boxes (B, N, D), got {shapes}"
            )
        if self.logits.shape[:2] != self.codes.shape[:2]:
            raise ValueError(
                f"logits are for (B, N) = {tuple(self.logits.shape[:2])}, "
                f"boxes for {tuple(self.codes.shape[:2])}: they must agree"
            )
        if (self.coder is None) != (self.anchors is None):
            raise ValueError("Predictions needs both `anchors` and `coder`, or neither")
        if self.anchors is not None and len(self.anchors) != self.logits.shape[1]:
            raise ValueError(
                f"the head predicts {self.logits.shape[1]} anchors per image, the grid has "
                f"{len(self.anchors)}: check shapes per level and the image size"
            )
        if self.objectness is not None and self.objectness.shape != self.logits.shape[:2]:
            raise ValueError(f"objectness must be (B, N), got {tuple(self.objectness.shape)}")

    @classmethod
    def from_tensors(
        cls, logits: Tensor, boxes: Tensor, objectness: Tensor | None = None
    ) -> "Predictions":
        """From decoded ``boxes`` (B, N, 4) in pixels."""
        if boxes.shape[-1] != 4:
            raise ValueError(f"boxes must be (B, N, 4), got {tuple(boxes.shape)}")
        return cls(logits=logits, codes=boxes, objectness=objectness)

    @classmethod
    def from_codes(
        cls,
        logits: Tensor,
        codes: Tensor,
        anchors: Anchors,
        coder: Coder,
        objectness: Tensor | None = None,
    ) -> "Predictions":
        """From raw box outputs (B, N, D), decoded only at the anchors that are read."""
        return cls(logits=logits, codes=codes, anchors=anchors, coder=coder, objectness=objectness)

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self.logits.shape[-1]

    @property
    def shape(self) -> tuple[int, int]:
        """(B, N): images and anchors per image."""
        return self.logits.shape[0], self.logits.shape[1]

    def logits_at(self, flat: Tensor) -> Tensor:
        """(P, C) class logits of flat anchor ids (P,)."""
        return self.logits.flatten(0, 1)[flat]

    def objectness_at(self, flat: Tensor) -> Tensor | None:
        """(P,) objectness logits of flat anchor ids (P,), or None."""
        return None if self.objectness is None else self.objectness.flatten()[flat]

    def codes_at(self, flat: Tensor) -> Tensor:
        """(P, D) raw box outputs of flat anchor ids (P,)."""
        return self.codes.flatten(0, 1)[flat]

    def boxes_at(self, flat: Tensor) -> Tensor:
        """(P, 4) predicted boxes of flat anchor ids (P,); at least float32."""
        codes = self.codes_at(flat)
        codes = codes.to(torch.promote_types(codes.dtype, torch.float32))
        if self.coder is None or self.anchors is None:
            return codes
        index = self.anchors.local(flat)
        return self.coder.decode(self.anchors.boxes(index), codes, self.anchors.stride(index))

    def detach(self) -> "Predictions":
        """The same predictions without their graph: assignment is never differentiated."""
        return replace(
            self,
            logits=self.logits.detach(),
            codes=self.codes.detach(),
            objectness=None if self.objectness is None else self.objectness.detach(),
        )


class ClassWeights(NamedTuple):
    """Weights of some (anchor, class) terms of the background loss: (Q,) each, every term once.

    Terms that are not listed weigh 1. It is how FreeAnchor, AutoAssign and DW say that an anchor is
    background for most classes, but only partly for the class of an object nearby.
    """

    anchor: Tensor  # flat ids
    label: Tensor
    weight: Tensor  # in [0, 1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Assignment:
    """Which anchor answers for which target: the chosen pairs. All other anchors are background.

    Attributes:
        anchor: (P,) int64 flat anchor ids (``image * N + anchor``).
        target: (P,) int64 rows of ``Targets.boxes``.
        weight: (P,) float, the share of a pair in the losses; 1 unless a strategy says otherwise.
        quality: (P,) float in [0, 1], the soft class target of a pair; 1 unless a strategy says
            otherwise.
        ignored: (Q,) int64 flat ids, unique, that are neither positive nor background.
        num_anchors: N, anchors per image.
        targets: the targets that ``target`` points into.
        background_weight: weights of some class terms of the background loss; None: 1 everywhere.
        anchors: what the flat ids count, for ``report``.

    An anchor may stand in several pairs where a strategy allows it (YOLOv5, bags, soft cells).
    """

    anchor: Tensor
    target: Tensor
    num_anchors: int
    targets: Targets
    weight: Tensor = None  # pyright: ignore[reportAssignmentType]
    quality: Tensor = None  # pyright: ignore[reportAssignmentType]
    ignored: Tensor = None  # pyright: ignore[reportAssignmentType]
    background_weight: ClassWeights | None = None
    anchors: Anchors | None = None

    def __post_init__(self) -> None:
        ones = torch.ones(self.anchor.shape, device=self.anchor.device)
        for name in ("weight", "quality"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, ones)
        if self.ignored is None:
            object.__setattr__(self, "ignored", self.anchor[:0])
        for name in ("target", "weight", "quality"):
            if getattr(self, name).shape != self.anchor.shape:
                shape = tuple(getattr(self, name).shape)
                raise ValueError(
                    f"Assignment.{name} must be {tuple(self.anchor.shape)}, got {shape}"
                )

    def __len__(self) -> int:
        return len(self.anchor)

    @property
    def shape(self) -> tuple[int, int]:
        """(B, N): images and anchors per image."""
        return self.targets.batch_size, self.num_anchors

    @property
    def image(self) -> Tensor:
        """(P,) image of every pair."""
        return self.anchor // max(self.num_anchors, 1)

    @property
    def labels(self) -> Tensor:
        """(P,) class of every pair's target."""
        return self.targets.labels[self.target]

    def dense(self) -> Tensor:
        """(B, N) int64: >= 0 the target's index within its image, -1 background, -2 ignored.

        Where an anchor stands in several pairs, the one with the largest weight is shown, the
        lowest target among equals."""
        batch, count = self.shape
        out = torch.full((batch * count,), BACKGROUND, device=self.anchor.device)
        out[self.ignored] = IGNORED
        order = torch.argsort(self.target, descending=True, stable=True)
        order = order[torch.argsort(self.weight[order], stable=True)]  # the last write wins
        anchor = self.anchor[order]
        local = (self.target - self.targets.first[self.image])[order]
        last = torch.zeros_like(out).scatter_reduce_(
            0, anchor, torch.arange(len(anchor), device=out.device), "amax"
        )  # an index write with duplicates is undefined on a GPU; the largest position is not
        positive = torch.zeros_like(out, dtype=torch.bool)
        positive[anchor] = True
        if len(anchor):
            out = torch.where(positive, local[last.clamp(max=len(anchor) - 1)], out)
        return out.view(batch, count)

    def report(self) -> Report:
        """What this assignment did, in numbers: print it.

        Objects without an anchor and why, positives per object, level and shape, shared and ignored
        anchors.
        """
        if self.anchors is None:
            raise ValueError("this Assignment does not know its anchors: give it `anchors=`")
        return report(self, self.anchors)

    def background(self) -> Tensor:
        """(B, N) bool: anchors that are neither positive nor ignored."""
        batch, count = self.shape
        out = torch.ones(batch * count, dtype=torch.bool, device=self.anchor.device)
        out[self.anchor] = False
        out[self.ignored] = False
        return out.view(batch, count)


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """What a detector found in a batch, packed, best first within each image.

    Attributes:
        boxes: (D, 4) ``xyxy`` pixels. scores: (D,) in [0, 1]. labels: (D,) 0-based classes.
        image: (D,) ascending image index. batch_size: number of images.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    image: Tensor
    batch_size: int

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4):
            raise ValueError(f"Detections.boxes must be (D, 4), got {tuple(self.boxes.shape)}")
        for name in ("scores", "labels", "image"):
            if getattr(self, name).shape != (count,):
                shape = tuple(getattr(self, name).shape)
                raise ValueError(f"Detections.{name} must be ({count},) like boxes, got {shape}")

    def __len__(self) -> int:
        return len(self.boxes)

    def to_list(self) -> list[dict[str, Tensor]]:
        """torchvision's form: one dictionary of ``boxes``, ``scores``, ``labels`` per image."""
        count = torch.bincount(self.image, minlength=self.batch_size).tolist()
        columns = {name: getattr(self, name).split(count) for name in ("boxes", "labels", "scores")}
        return [{k: rows[i] for k, rows in columns.items()} for i in range(self.batch_size)]

    @classmethod
    def from_list(cls, detections: Iterable[Mapping[str, Tensor]]) -> "Detections":
        """Packs torchvision's result dictionaries."""
        rows = list(detections)
        if not rows:
            empty = torch.zeros(0)
            return cls(
                boxes=torch.zeros(0, 4),
                scores=empty,
                labels=empty.long(),
                image=empty.long(),
                batch_size=0,
            )
        count = torch.tensor([len(r["boxes"]) for r in rows])
        return cls(
            boxes=torch.cat([r["boxes"] for r in rows]),
            scores=torch.cat([r["scores"] for r in rows]),
            labels=torch.cat([r["labels"] for r in rows]),
            image=torch.arange(len(rows)).repeat_interleave(count),
            batch_size=len(rows),
        )


class Assigner(Protocol):
    """Which anchor answers for which object: one call for a batch, on the device of its inputs."""

    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Strategies of geometry leave ``predictions`` unread; the others raise without."""
        ...
