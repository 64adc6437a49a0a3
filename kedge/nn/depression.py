"""Feature depression (MAL): hide where the features are strongest, so that others get a chance."""

from typing import Literal

import torch
from torch import Tensor

Schedule = Literal["constant", "linear", "steps", "triangle"]
STEPS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)


def depression_ratio(progress: float, schedule: Schedule = "steps") -> float:
    """Share of the positions to depress at ``progress`` = iteration / total in [0, 1].

    ``"steps"``: twelve equal segments up to one half and back, the authors' choice;
    ``"triangle"``: the same without steps; ``"linear"``: from 0 to one half; ``"constant"``: one
    half.

    Source: the code of Ke et al., arXiv:1912.02252.
    """
    if not 0 <= progress <= 1:
        raise ValueError(f"progress is iteration / total, in [0, 1], got {progress}")
    if schedule == "steps":
        return STEPS[min(int(progress * len(STEPS)), len(STEPS) - 1)]
    if schedule == "triangle":
        return min(progress, 1 - progress)
    if schedule == "linear":
        return progress / 2
    if schedule == "constant":
        return 0.5
    raise ValueError(f"schedule {schedule!r} is not 'constant', 'linear', 'steps' or 'triangle'")


def depress(features: Tensor, ratio: float, keep: float = 0.25) -> Tensor:
    """Features (B, C, H, W) scaled by ``keep`` at the share ``ratio`` of positions attended to
    most.

    Attention is the sum over channels, each weighted by its own spatial mean. Positions strictly
    above the value at rank ``floor(H * W * ratio)`` are depressed: none at ratio 0. Gradients flow
    through the features, not through the choice. Apply in training only, to every level of a
    pyramid.

    Source: Ke et al., arXiv:1912.02252, section 3.3; the authors' type 0 keeps 0.25, type 1 keeps
    0.
    """
    if not 0 <= ratio <= 1 or not 0 <= keep <= 1:
        raise ValueError(f"depress needs ratio and keep in [0, 1], got {ratio} and {keep}")
    seen = features.detach().float()
    attention = (seen * seen.mean(dim=(2, 3), keepdim=True)).sum(1).flatten(1)  # (B, H * W)
    place = min(int(attention.shape[1] * ratio), attention.shape[1] - 1)
    threshold = attention.sort(dim=1, descending=True).values[:, place, None]
    scale = torch.where(attention > threshold, keep, 1.0).to(features.dtype)
    return features * scale.view(len(features), 1, *features.shape[2:])
