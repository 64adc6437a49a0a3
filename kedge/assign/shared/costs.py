"""What a prediction costs at a pair. No (pairs x classes) table: background once per anchor.

A classification cost summed over classes is the cost of "background" at the anchor, which all its
pairs share, plus a correction at the target's class. The first is computed once per anchor in
blocks, the second at the pair alone.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from kedge.anchors.pairs import Pairs
from kedge.boxes import at_least_float32, giou, iou, unflip
from kedge.counted import count
from kedge.rows import pick
from kedge.types import Anchors, ClassWeights, Predictions, Targets

BLOCK = 1 << 22  # logits that are held at once
LOG_LIMIT = -100.0  # torch's binary cross-entropy stops its logarithms here


def checked(
    predictions: Predictions | None, anchors: Anchors, targets: Targets, strategy: object
) -> Predictions:
    """The predictions, detached; ``ValueError`` without them or when they are for other anchors."""
    name = type(strategy).__name__
    if predictions is None:
        raise ValueError(
            f"{name} needs predictions: call it as assign(anchors, targets, predictions)"
        )
    batch, rows = targets.batch_size, anchors.total(targets.batch_size)
    same = predictions.shape[0] == batch if len(predictions.shape) == 2 else True
    if len(predictions) != rows or not same:
        expected = rows if anchors.per_image is None else (batch, anchors.per_image)
        raise ValueError(
            f"{name}: predictions are for (images, anchors) = {predictions.shape}, "
            f"anchors and targets say {expected}"
        )
    if targets.highest >= predictions.num_classes:
        raise ValueError(
            f"{name}: a target has class {targets.highest}, the head predicts "
            f"{count(predictions.num_classes, 'class', 'classes')} (0-based)"
        )
    return predictions.detach()


def class_logit(predictions: Predictions, pairs: Pairs) -> Tensor:
    """(P,) logit of the target's class at every pair, at least float32."""
    value = predictions.class_log_odds(pairs.anchor, pairs.labels())
    return at_least_float32(value)[0]


def objectness(predictions: Predictions, flat: Tensor) -> Tensor | None:
    """(P,) objectness logits, at least float32, or None."""
    value = predictions.objectness_at(flat)
    return None if value is None else at_least_float32(value)[0]


def predicted_boxes(predictions: Predictions, pairs: Pairs) -> Tensor:
    """(P, 4) predicted boxes, without negative sides."""
    return unflip(predictions.boxes_at(pairs.anchor, pairs.labels()))


def alignment(predictions: Predictions, pairs: Pairs, alpha: float) -> Tensor:
    """(P,) ``score^(1 - alpha) * IoU^alpha`` of the prediction, with its score for the target's
    class."""
    overlap = iou(predicted_boxes(predictions, pairs), pairs.target_boxes())
    return class_logit(predictions, pairs).sigmoid() ** (1 - alpha) * overlap**alpha


def per_anchor(
    predictions: Predictions, pairs: Pairs, cost: Callable[[Tensor, Tensor | None], Tensor]
) -> Tensor:
    """(P,) ``cost(logits (u, C), objectness (u,) | None)`` (u,) at every pair's anchor."""
    flat = pairs.distinct_anchors()
    values = [
        cost(at_least_float32(predictions.log_odds_at(part))[0], objectness(predictions, part))
        for part in flat.split(max(1, BLOCK // max(predictions.num_classes, 1)))
    ]
    if len(flat) == 0:
        return predictions.class_rows.new_zeros(0).float()
    every = values[0].new_empty(pairs.num_rows()).scatter_(0, flat, torch.cat(values))
    return pick(every, pairs.anchor)


def focal_negative(logit: Tensor, alpha: float, gamma: float) -> Tensor:
    """The focal loss of "not this class"; shape as ``logit``."""
    return logit.sigmoid().pow(gamma).mul_(F.softplus(logit)).mul_(1 - alpha)


def focal_gain(logit: Tensor, alpha: float, gamma: float) -> Tensor:
    """The focal loss of "this class" minus that of "not this class"; one softplus, which takes
    longer than the rest, serves both."""
    score, soft = logit.sigmoid(), F.softplus(logit)
    present = (1 - score).pow_(gamma).mul_(soft - logit).mul_(alpha)  # softplus(-x) = it - x
    return present.sub_(score.pow_(gamma).mul_(soft).mul_(1 - alpha))


def focal_background(
    predictions: Predictions, pairs: Pairs, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """(P,) focal loss, summed over classes, of calling the pair's anchor background."""
    return per_anchor(
        predictions, pairs, lambda logits, _: focal_negative(logits, alpha, gamma).sum(-1)
    )


def focal_cost(
    predictions: Predictions,
    pairs: Pairs,
    alpha: float = 0.25,
    gamma: float = 2.0,
    background: Tensor | None = None,
) -> Tensor:
    """(P,) focal loss, summed over classes, of calling the anchor its target's class.

    ``background`` (P,) is ``focal_background`` where the caller has it.
    """
    if background is None:
        background = focal_background(predictions, pairs, alpha, gamma)
    return background + focal_gain(class_logit(predictions, pairs), alpha, gamma)


def soft_label_cost(predictions: Predictions, pairs: Pairs, overlap: Tensor) -> Tensor:
    """(P,) quality focal loss, summed over classes, of the scores against ``overlap`` (P,) at the
    target's class and 0 elsewhere."""
    logit = class_logit(predictions, pairs)
    soft = F.binary_cross_entropy_with_logits(logit, overlap.to(logit.dtype), reduction="none")
    soft = soft * (overlap - logit.sigmoid()) ** 2
    absent = per_anchor(predictions, pairs, lambda logits, _: _quality_focal(logits).sum(-1))
    return absent - _quality_focal(logit) + soft


def _quality_focal(logit: Tensor) -> Tensor:
    """Quality focal loss against the label 0."""
    return F.softplus(logit) * logit.sigmoid() ** 2


def root_score_cost(predictions: Predictions, pairs: Pairs) -> Tensor:
    """(P,) binary cross-entropy of ``sqrt(score * objectness)``, summed over classes, against the
    target's class; without an objectness branch that counts as 1."""
    absent = per_anchor(predictions, pairs, lambda x, o: _absent(_root_score(x, o)).sum(-1))
    branch = objectness(predictions, pairs.anchor)
    score = _root_score(class_logit(predictions, pairs)[:, None], branch)[:, 0]
    return absent + (-score.log().clamp(min=LOG_LIMIT) - _absent(score))


def _root_score(logits: Tensor, branch: Tensor | None) -> Tensor:
    """(u, C) ``sqrt(score * objectness)``."""
    score = logits.sigmoid()
    return score.sqrt() if branch is None else score.mul_(branch.sigmoid()[:, None]).sqrt()


def _absent(score: Tensor) -> Tensor:
    """Cross-entropy of a score against 0; stops where torch's does."""
    return -torch.log1p(-score).clamp(min=LOG_LIMIT)


def giou_cost(predictions: Predictions, pairs: Pairs) -> Tensor:
    """(P,) GIoU loss of the predicted box against the target."""
    return 1 - giou(predicted_boxes(predictions, pairs), pairs.target_boxes())


def class_weights(anchor: Tensor, label: Tensor, weight: Tensor, num_classes: int) -> ClassWeights:
    """Weights of (anchor, class) terms, each once: the smallest where several objects name one."""
    key, place = (anchor * num_classes + label).unique(return_inverse=True)
    least = weight.new_ones(len(key)).scatter_reduce(0, place, weight, "amin")
    return ClassWeights(key.div(num_classes, rounding_mode="floor"), key % num_classes, least)
