"""Mean-max: pools a bag, nearly by the mean early in training and by the maximum late."""

import torch
from torch import Tensor

from kedge.boxes import at_least_float32

_TINY = 1e-12


def mean_max(inputs: Tensor, bag: Tensor, num_bags: int) -> Tensor:
    """``sum(x / (1 - x)) / sum(1 / (1 - x))`` over each bag of probabilities.

    ``inputs`` (P,) in [0, 1]; ``bag`` (P,) int64 says to which bag of ``num_bags`` each belongs
    (for anchors: ``pairs.target``). Gives (num_bags,), in [0, 1]; 0 for an empty bag, so take care
    before a logarithm. ``1 - x`` counts as at least 1e-12.

    The value is one minus the harmonic mean of ``1 - x``; the gradient is taken of that form, where
    it is bounded by the bag's size, the quotient above cancels catastrophically as x nears 1.

    Source: Zhang et al., arXiv:1909.02466 (FreeAnchor), the mean-max function; used by MAL,
    arXiv:1912.02252.
    """
    (x,) = at_least_float32(inputs)
    rest = 1 - x
    rest = rest + (rest.clamp(min=_TINY) - rest).detach()  # clamped value, gradient passed straight
    zeros = x.new_zeros(num_bags)
    lowest = torch.ones_like(zeros).scatter_reduce(0, bag, rest.detach(), "amin")
    weight = lowest[bag] / rest  # in (0, 1], 1 for the best of its bag
    total = zeros.index_add(0, bag, weight).clamp(min=1)  # below 1 in empty bags only
    count = zeros.index_add(0, bag, torch.ones_like(x))
    harmonic = count * lowest / total
    value = zeros.index_add(0, bag, weight * x) / total
    return value.detach() + (harmonic.detach() - harmonic)
