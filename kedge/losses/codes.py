"""Predicted codes of the pairs, and what they should be."""

from torch import Tensor

from kedge.types import Assignment, Predictions


def codes_of_pairs(predictions: Predictions, assignment: Assignment) -> tuple[Tensor, Tensor]:
    """Predicted codes (P, D) of the pairs, and what the coder writes for their targets.

    The second is (P, D) too, or (P, 4) for a coder of distributions. It carries the anchor shapes
    in its graph: log(g / a) is where a learned shape gets its gradient from.

    Raises ``ValueError`` for predictions of decoded boxes, which have no codes.
    """
    anchors, coder = predictions.anchors, predictions.coder
    if anchors is None or coder is None:
        raise ValueError(
            "this loss compares box codes: build the predictions with "
            "Predictions.from_dense(logits, codes, anchors, coder)"
        )
    rows = assignment.anchor
    goal = coder.encode(anchors.boxes(rows), assignment.boxes, anchors.stride(rows))
    return predictions.codes_at(rows, assignment.labels), goal
