"""The sets of shapes that a design is compared with: published ones, and the user's own."""

import torch
from torch import Tensor

from kedge.anchors.presets import Preset, preset
from kedge.design.fit import make_objective
from kedge.design.judging import Candidate
from kedge.design.kmeans import by_area
from kedge.design.placed import Placed, floors
from kedge.design.points import shapes_tensor
from kedge.design.saved import load_design
from kedge.design.search import even_levels
from kedge.design.settings import DesignSettings
from kedge.shape_text import is_design_file, is_shapes, parse_shapes


def candidate(shapes: Tensor, placed: Placed, settings: DesignSettings) -> Candidate:
    """Shapes on their grid, judged by the objective of the design."""
    if settings.objective == "placed":
        return Candidate(shapes, placed, placed)
    return Candidate(shapes, make_objective(settings.objective, settings.threshold), placed)


def in_use(words: str | tuple[tuple[float, float], ...] | None) -> Preset | Tensor | None:
    """The user's own anchors: a preset, a saved design, or shapes (k, 2) without a place."""
    if not isinstance(words, str):
        return None if words is None else by_area(shapes_tensor(words, "in_use"))
    if is_shapes(words):
        return by_area(shapes_tensor(parse_shapes(words), "in_use"))
    return load_design(words) if is_design_file(words) else preset(words)


def rivals(
    settings: DesignSettings, canvas: tuple[int, int]
) -> tuple[dict[str, Candidate], str | None]:
    """Candidates by name on an input of ``canvas`` (H, W), and the name of the set in use."""
    found = {name: _published(preset(name), settings, canvas) for name in settings.baselines}
    own = in_use(settings.in_use)
    if own is None:
        return found, None
    if isinstance(own, Tensor):
        return found | {"in use": _own(own, settings, canvas)}, "in use"
    return found | {own.name: _published(own, settings, canvas)}, own.name


def _own(shapes: Tensor, settings: DesignSettings, canvas: tuple[int, int]) -> Candidate:
    """The user's shapes on the design's levels: an even split, smaller ones on finer levels."""
    ground = floors(settings.levels, canvas, settings.offset)
    level = even_levels(ground, len(shapes), None)
    return candidate(
        shapes, Placed(floors=ground, level=level, threshold=_threshold(settings)), settings
    )


def _published(found: Preset, settings: DesignSettings, canvas: tuple[int, int]) -> Candidate:
    """A preset as published: on its own strides and offset, on this input size."""
    counts = torch.tensor([len(level.shapes) for level in found.levels])
    placed = Placed(
        floors=floors(found.strides, canvas, found.offset),
        level=torch.arange(len(counts)).repeat_interleave(counts),
        threshold=_threshold(settings),
    )
    return candidate(torch.tensor(found.shapes), placed, settings)


def _threshold(settings: DesignSettings) -> float:
    given = settings.threshold if settings.objective == "placed" else None
    return 0.5 if given is None else given
