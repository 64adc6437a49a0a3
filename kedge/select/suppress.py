"""How duplicates go: what ``Selection(suppress=...)`` takes.

Each takes boxes (n, 4), scores (n,) and groups (n,) int64 that never touch each other, and gives
what is left, best first: rows (k,), their scores (k,), and boxes (k, 4).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from kedge.select.fusion import fuse_groups
from kedge.select.nms import diou_nms, matrix_nms, nms, soft_nms


class Left(NamedTuple):
    """What a suppression leaves, best first."""

    rows: Tensor  # (k,) into the arguments; a fused box: the best of those that it is made of
    scores: Tensor
    boxes: Tensor


class Suppression(Protocol):
    """Duplicate removal within groups."""

    def __call__(self, boxes: Tensor, scores: Tensor, groups: Tensor) -> Left: ...


@dataclass(frozen=True, slots=True)
class NMS:
    """A box goes when its IoU with a better one that stays is above ``threshold``."""

    threshold: float = 0.5

    def __call__(self, boxes: Tensor, scores: Tensor, groups: Tensor) -> Left:
        rows = nms(boxes, scores, groups, threshold=self.threshold)
        return Left(rows, scores[rows], boxes[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftNMS:
    """Overlapping boxes lose score instead: see ``kedge.select.soft_nms``."""

    method: Literal["linear", "gaussian"] = "gaussian"
    sigma: float = 0.5
    threshold: float = 0.3
    min_score: float = 0.001

    def __call__(self, boxes: Tensor, scores: Tensor, groups: Tensor) -> Left:
        rows, left = soft_nms(
            boxes, scores, groups, method=self.method, sigma=self.sigma,
            threshold=self.threshold, min_score=self.min_score,
        )  # fmt: skip
        return Left(rows, left, boxes[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class DIoUNMS:
    """NMS that spares boxes with other centres: see ``kedge.select.diou_nms``."""

    threshold: float = 0.5
    beta: float = 1.0

    def __call__(self, boxes: Tensor, scores: Tensor, groups: Tensor) -> Left:
        rows = diou_nms(boxes, scores, groups, threshold=self.threshold, beta=self.beta)
        return Left(rows, scores[rows], boxes[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixNMS:
    """All scores decay at once, without a loop: see ``kedge.select.matrix_nms``."""

    method: Literal["linear", "gaussian"] = "gaussian"
    sigma: float = 2.0
    min_score: float = 0.0

    def __call__(self, boxes: Tensor, scores: Tensor, groups: Tensor) -> Left:
        rows, left = matrix_nms(
            boxes, scores, groups, method=self.method, sigma=self.sigma, min_score=self.min_score
        )
        return Left(rows, left, boxes[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """Boxes that overlap by more than ``threshold`` become one, their mean by score."""

    threshold: float = 0.55

    def __call__(self, boxes: Tensor, scores: Tensor, groups: Tensor) -> Left:
        return Left(*fuse_groups(boxes, scores, groups, threshold=self.threshold))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepAll:
    """Nothing goes: for detectors that match one to one."""

    def __call__(self, boxes: Tensor, scores: Tensor, groups: Tensor) -> Left:
        rows = scores.argsort(descending=True, stable=True)
        return Left(rows, scores[rows], boxes[rows])
