"""Predictions: what a detector says at every anchor of a batch, read only where asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from kedge.rows import pick, pick_each
from kedge.scores import ClassScores, Sigmoid
from kedge.types.anchors import Anchors
from kedge.types.coder import Coder


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """What a detector says at every anchor, one row each.

    Every tensor has the same leading dimensions, and these, flattened, are the rows of the batch's
    anchors: (M, ...) as a list of proposals has it, or (B, N, ...) on a grid.

    Attributes:
        logits: (..., W) raw class outputs, read as ``classes`` says.
        codes: (..., D) raw box outputs, or (..., C, D) with a box for every class; decoded boxes
            (..., 4) when ``coder`` is None.
        anchors, coder: what the codes are relative to; both or neither.
        branches: further outputs by name, (...) or (..., E): "objectness", "centreness", "iou",
            embeddings.
        classes: how ``logits`` become probabilities: a sigmoid each, unless said.
    """

    logits: Tensor
    codes: Tensor
    anchors: Anchors[Any] | None = None
    coder: Coder | None = None
    branches: Mapping[str, Tensor] = field(default_factory=dict)
    classes: ClassScores = field(default_factory=Sigmoid)

    def __post_init__(self) -> None:
        lead, codes = self.shape, tuple(self.codes.shape)
        fits = lead and len(codes) - len(lead) in (1, 2) and lead == codes[: len(lead)]
        if not fits:
            raise ValueError(
                "Predictions needs logits (B, N, C) and boxes (B, N, D), or rows (M, C) and (M, D) "
                f"or (M, C, D), got {tuple(self.logits.shape)} and {codes}: they must agree"
            )
        if self.class_specific and codes[-2] != self.num_classes:
            raise ValueError(
                f"codes have boxes for {codes[-2]} classes, the logits are for {self.num_classes}"
            )
        if (self.coder is None) != (self.anchors is None):
            raise ValueError("Predictions needs both `anchors` and `coder`, or neither")
        for name, values in self.branches.items():
            if tuple(values.shape[: len(lead)]) != lead:
                raise ValueError(f"{name} must be {lead}, got {tuple(values.shape)}")
        self._check_anchors()

    def _check_anchors(self) -> None:
        if self.anchors is None:
            return
        count = self.anchors.per_image
        if len(self.shape) == 2 and count != self.shape[1]:
            raise ValueError(
                f"the head predicts {self.shape[1]} anchors per image, the grid has {count}: check "
                "shapes per level and the image size"
            )
        if count is None and len(self.anchors.boxes()) != len(self):
            raise ValueError(
                f"the head predicts {len(self)} rows, the anchors are {len(self.anchors.boxes())}"
            )

    @classmethod
    def from_dense(
        cls,
        logits: Tensor,
        codes: Tensor,
        anchors: Anchors[Any],
        coder: Coder,
        classes: ClassScores | None = None,
        **branches: Tensor,
    ) -> "Predictions":
        """From a head on a grid: logits (B, N, W), codes (B, N, D) or (B, N, C, D), branches
        (B, N) by name."""
        return cls(
            logits=logits,
            codes=codes,
            anchors=anchors,
            coder=coder,
            branches=branches,
            classes=Sigmoid() if classes is None else classes,
        )

    @classmethod
    def from_tensors(
        cls, logits: Tensor, boxes: Tensor, objectness: Tensor | None = None
    ) -> "Predictions":
        """From decoded ``boxes`` (B, N, 4) in pixels."""
        if boxes.shape[-1] != 4:
            raise ValueError(f"boxes must be (B, N, 4), got {tuple(boxes.shape)}")
        return cls(logits=logits, codes=boxes, branches=_objectness(objectness))

    @classmethod
    def from_codes(
        cls,
        logits: Tensor,
        codes: Tensor,
        anchors: Anchors[Any],
        coder: Coder,
        objectness: Tensor | None = None,
    ) -> "Predictions":
        """From raw box outputs (B, N, D), decoded only at the anchors that are read."""
        return cls.from_dense(logits, codes, anchors, coder, None, **_objectness(objectness))

    def __len__(self) -> int:
        return self.logits.shape[:-1].numel()

    @property
    def shape(self) -> tuple[int, ...]:
        """The leading dimensions: (B, N), or (M,)."""
        return tuple(self.logits.shape[:-1])

    @property
    def num_classes(self) -> int:
        """Number of classes C, background not among them."""
        return self.classes.num_classes(self.logits.shape[-1])

    @property
    def class_specific(self) -> bool:
        """Whether every class has a box of its own."""
        return self.codes.ndim - self.logits.ndim == 1

    @property
    def objectness(self) -> Tensor | None:
        """(...) raw scores of the branch "objectness", or None."""
        return self.branches.get("objectness")

    def branch(self, name: str) -> Tensor:
        """(M, ...) rows of a branch; ``ValueError`` where the head has none of this name."""
        if name not in self.branches:
            known = ", ".join(self.branches) or "no branch"
            raise ValueError(f"these predictions have no branch {name!r}: the head has {known}")
        return self.branches[name].flatten(0, len(self.shape) - 1)

    @property
    def class_rows(self) -> Tensor:
        """(M, W) raw class outputs."""
        return self.logits.flatten(0, -2)

    def logits_at(self, rows: Tensor) -> Tensor:
        """(P, W) raw class outputs of rows (P,)."""
        return _at(self.class_rows, rows)

    def log_odds_at(self, rows: Tensor) -> Tensor:
        """(P, C) of which a sigmoid is the class's probability."""
        return self.classes.log_odds(self.logits_at(rows))

    def class_log_odds(self, rows: Tensor, labels: Tensor) -> Tensor:
        """(P,) log odds of class ``labels`` (P,) at rows (P,)."""
        return self.classes.log_odds_of(self.class_rows, rows, labels)

    def objectness_at(self, rows: Tensor) -> Tensor | None:
        """(P,) objectness logits of rows (P,), or None."""
        return None if self.objectness is None else _at(self.branch("objectness"), rows)

    def codes_at(self, rows: Tensor, labels: Tensor | None = None) -> Tensor:
        """(P, D) raw box outputs of rows (P,); those of class ``labels`` (P,) where every class
        has its own, which is then an error to leave out."""
        codes = self.codes.flatten(0, len(self.shape) - 1)
        if not self.class_specific:
            return _at(codes, rows)
        if labels is None:
            raise ValueError("these predictions have a box for every class: say which `labels`")
        return pick_each(codes, rows, labels)

    def boxes_at(self, rows: Tensor, labels: Tensor | None = None) -> Tensor:
        """(P, 4) predicted boxes of rows (P,); at least float32. ``labels`` as for ``codes_at``."""
        return self._decoded(self.codes_at(rows, labels), rows)

    def every_box(self) -> Tensor:
        """(M, 4) predicted boxes of all rows, as ``boxes_at`` gives them, without picking any."""
        if self.class_specific:
            return self.boxes_at(self._every_row())  # which says what is missing
        return self._decoded(self.codes.flatten(0, len(self.shape) - 1), None)

    def _every_row(self) -> Tensor:
        return torch.arange(len(self), device=self.codes.device)

    def _decoded(self, codes: Tensor, rows: Tensor | None) -> Tensor:
        codes = codes.to(torch.promote_types(codes.dtype, torch.float32))
        if self.coder is None or self.anchors is None:
            return codes
        rows = self._every_row() if rows is None else rows
        return self.coder.decode(self.anchors.boxes(rows), codes, self.anchors.stride(rows))

    def detach(self) -> "Predictions":
        """The same predictions without their graph: assignment is never differentiated."""
        return replace(
            self,
            logits=self.logits.detach(),
            codes=self.codes.detach(),
            branches={name: values.detach() for name, values in self.branches.items()},
        )


def _at(values: Tensor, rows: Tensor) -> Tensor:
    """``values[rows]`` of rows (P,): several times faster on a CPU where no gradient is asked for,
    whose order on a GPU indexing keeps."""
    return values[rows] if values.requires_grad else pick(values, rows)


def _objectness(values: Tensor | None) -> dict[str, Tensor]:
    return {} if values is None else {"objectness": values}
