"""YOLOv3's box loss as darknet trains it: a cross-entropy of places, squares of sizes."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from kedge.coders.cell import YOLOv2Coder
from kedge.losses.box_terms import object_scale
from kedge.losses.codes import codes_of_pairs
from kedge.types import Assignment, Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCodes:
    """Cross-entropy of the place in the cell, half the squared error of the log sizes, summed.

    For the codes of YOLOv2 and YOLOv3 alone (``YOLOv2Coder``); ``ValueError`` for others. The
    gradient of a raw output then is what it is off by, after the sigmoid for places: darknet's.
    ``place`` and ``size`` weigh the two; ``by_size`` multiplies by 2 - w h as in ``CodeSquares``.

    Source: darknet ``src/yolo_layer.c``. MMDetection's YOLOv3 has ``place=2, size=4,
    by_size=False`` (no half, weight 2).
    """

    place: float = 1.0
    size: float = 1.0
    by_size: bool = True

    def __call__(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        codes, goal = codes_of_pairs(predictions, assignment)
        if not isinstance(predictions.coder, YOLOv2Coder):
            raise ValueError(
                "CellCodes compares places in a cell, which YOLOv2Coder writes; this coder is "
                f"{predictions.coder}: take CodeSquares"
            )
        place = F.binary_cross_entropy_with_logits(
            codes[:, :2], goal[:, :2].sigmoid(), reduction="none"
        ).sum(1)
        size = (codes[:, 2:] - goal[:, 2:]).square().sum(1) / 2
        error = self.place * place + self.size * size
        return error * object_scale(predictions, assignment) if self.by_size else error
