"""What FreeAnchor and MAL share: scores within a bag, and who is background for which class."""

from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.predicted import overlapping_predictions
from kedge.anchors.segments import largest
from kedge.assign.shared.costs import class_logit, class_weights, predicted_boxes
from kedge.boxes import iou
from kedge.types import Anchors, ClassWeights, Predictions, Targets


def pair_scores(predictions: Predictions, bag: Pairs) -> tuple[Tensor, Tensor]:
    """(P,) probability of the target's class, and (P,) IoU of the predicted box."""
    overlap = iou(predicted_boxes(predictions, bag), bag.target_boxes())
    return class_logit(predictions, bag).sigmoid(), overlap


def mean_max_share(bag: Pairs, score: Tensor) -> Tensor:
    """(P,) ``1 / (1 - score)``, scaled to sum 1 in every bag."""
    share = 1 / (1 - score).clamp(min=1e-6)
    return share / bag.sum_per_target(share)[bag.target]


def background_weights(
    anchors: Anchors, targets: Targets, predictions: Predictions, match_iou: float
) -> ClassWeights:
    """One minus the probability that an anchor matches some object of the class, where not 1."""
    anchor, target, overlap = overlapping_predictions(anchors, targets, predictions, match_iou)
    best = largest(overlap, target, len(targets))[target]
    match = (overlap - match_iou) / (best - match_iou).clamp(min=1e-12)
    label = targets.labels[target]
    return class_weights(anchor, label, 1 - match.clamp(0, 1), predictions.num_classes)
