"""RetinaNet-style anchors: a size per level, times scales, times ratios, optimised directly."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kedge.design.ascent import ascend
from kedge.design.objectives import Objective
from kedge.design.placed import Placed
from kedge.design.problem import Problem
from kedge.design.threads import one_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Pyramid:
    """Anchors as generators state them: ``size`` per level, ``scales`` and ``h_over_w`` shared by
    all.

    Shapes of a level: ratio outer, scale inner, as in torchvision; ``shapes`` (L * R * S, 2).
    """

    sizes: tuple[float, ...]
    scales: tuple[float, ...]
    h_over_w: tuple[float, ...]

    @property
    def shapes(self) -> Tensor:
        """(L * R * S, 2): level, then ratio, then scale."""
        return _expand(self._params()[None], *self.layout)[0].exp()

    def rounded(self) -> "Pyramid":
        """The numbers as they are printed: sizes to 1/100 pixel, scales and ratios to 1/10,000."""
        return Pyramid(
            sizes=tuple(round(x, 2) for x in self.sizes),
            scales=tuple(round(x, 4) for x in self.scales),
            h_over_w=tuple(round(x, 4) for x in self.h_over_w),
        )

    def text(self) -> str:
        """Sizes, scales and ratios as a line each."""
        return "\n".join(
            f"{name:8s}{', '.join(f'{x:g}' for x in values)}"
            for name, values in (
                ("sizes", self.sizes),
                ("scales", self.scales),
                ("h / w", self.h_over_w),
            )
        )

    @property
    def layout(self) -> tuple[int, int, int]:
        """Numbers of levels, ratios and scales."""
        return len(self.sizes), len(self.h_over_w), len(self.scales)

    def _params(self) -> Tensor:
        return torch.tensor([*self.sizes, *self.h_over_w, *self.scales]).log()


@one_thread()
def pyramid(
    problem: Problem,
    strides: Sequence[float],
    scales: int = 3,
    ratios: int = 3,
) -> Pyramid:
    """The best sizes, ratios and scales for ``strides``; ``problem.k`` is not used.

    Starts from RetinaNet's own values and from disturbed copies of them. The scales are
    stated relative to the smallest (so the first is 1). Levels stay in order of their stride.
    """
    layout = (len(strides), ratios, scales)
    start = _retinanet_start(strides, ratios, scales)
    noise = torch.randn(problem.restarts, len(start), generator=problem.generator()) * 0.3
    noise[0] = 0
    params = start + noise
    for points, share in zip(problem.stages, (1.0, 0.25, 0.05), strict=True):
        keep = max(1, round(problem.restarts * share))
        params, score = ascend(
            _on_levels(problem.objective, layout),
            points,
            params[:keep],
            expand=lambda p: _expand(p, *layout),
            iterations=40,
        )
        params = params[score.argsort(descending=True, stable=True)]
    return _named(params[0], layout)


def _retinanet_start(strides: Sequence[float], ratios: int, scales: int) -> Tensor:
    sizes = 4 * torch.tensor(strides, dtype=torch.float32)
    ratio = 2 ** torch.linspace(-1, 1, ratios) if ratios > 1 else torch.ones(1)
    scale = 2 ** (torch.arange(scales) / scales)
    return torch.cat([sizes, ratio, scale]).log()


def _expand(params: Tensor, levels: int, ratios: int, scales: int) -> Tensor:
    """Log shapes (R, L * ratios * scales, 2) of parameters (R, L + ratios + scales)."""
    size, ratio, scale = params.split([levels, ratios, scales], 1)
    side = size[:, :, None, None] + scale[:, None, None, :]
    half = ratio[:, None, :, None] / 2
    return torch.stack([side - half, side + half], -1).flatten(1, 3)


def _on_levels(objective: Objective, layout: tuple[int, int, int]) -> Objective:
    if not isinstance(objective, Placed):
        return objective
    return objective.on(torch.arange(layout[0]).repeat_interleave(layout[1] * layout[2]))


def _named(params: Tensor, layout: tuple[int, int, int]) -> Pyramid:
    size, ratio, scale = (part.double() for part in params.split(list(layout)))
    size = size + scale.min()
    scale = scale - scale.min()
    return Pyramid(
        sizes=tuple(size.exp().tolist()),
        scales=tuple(sorted(scale.exp().tolist())),
        h_over_w=tuple(sorted(ratio.exp().tolist())),
    )
