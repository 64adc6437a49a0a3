"""The background loss over all anchors and classes, with its few class-specific weights."""

from collections.abc import Callable

import torch
from torch import Tensor

from kedge.boxes import at_least_float32
from kedge.scores import log_rest, log_score
from kedge.types import Assignment, Predictions

Term = Callable[[Tensor, Tensor], Tensor]


def log_scores(predictions: Predictions) -> Tensor:
    """(M, C) logarithm of class score times objectness, at least float32."""
    logits = at_least_float32(predictions.classes.log_odds(predictions.class_rows))[0]
    if predictions.objectness is None:
        return log_score(logits, None)
    return log_score(logits, at_least_float32(predictions.branch("objectness"))[0][:, None])


def pair_log_score(predictions: Predictions, assignment: Assignment) -> Tensor:
    """(P,) logarithm of the target's class score times objectness, at least float32."""
    logit = predictions.class_log_odds(assignment.anchor, assignment.labels)
    branch = predictions.objectness_at(assignment.anchor)
    logit = at_least_float32(logit)[0]
    return log_score(logit, None if branch is None else at_least_float32(branch)[0])


def background_sum(predictions: Predictions, assignment: Assignment, term: Term) -> Tensor:
    """Sum of ``term(log score, weight)`` over all anchors that are not ignored, and all classes.

    ``weight`` is ``assignment.background_weight``, 1 where that says nothing: the sum is taken
    with 1 everywhere and corrected at the listed terms, so there is no (anchors x classes) table
    of weights.
    """
    score = log_scores(predictions)
    counts = torch.ones(len(score), dtype=torch.bool, device=score.device)
    counts[assignment.ignored] = False
    total = (term(score, torch.ones_like(score[:1, :1])).sum(1) * counts).sum()
    listed = assignment.background_weight
    if listed is None:
        return total
    use = counts[listed.anchor].nonzero()[:, 0]
    some = score[listed.anchor[use], listed.label[use]]
    weight = listed.weight[use].to(some.dtype)
    return total + (term(some, weight) - term(some, torch.ones_like(weight))).sum()


def scaled_focal(gamma: float) -> Term:
    """``q^gamma * -log(1 - q)`` with q = weight * score: the form of FreeAnchor and AutoAssign."""

    def term(score: Tensor, weight: Tensor) -> Tensor:
        q = score + weight.log()
        return (gamma * q).exp() * -log_rest(q)

    return term


def weighted_focal(gamma: float) -> Term:
    """``weight * p^gamma * -log(1 - p)`` with p = score: the form of DW."""

    def term(score: Tensor, weight: Tensor) -> Tensor:
        return weight * (gamma * score).exp() * -log_rest(score)

    return term
