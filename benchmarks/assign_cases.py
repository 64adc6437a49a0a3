"""What `assign_speed.py` measures: every strategy, its grid, its dense form, and random scenes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import dense_bags
import dense_forms
import dense_newer
import dense_predictions
import torch
from dense_scene import Dense, Scene
from torch import Tensor

from kedge import Grid, Level, Predictions, Targets, assign
from kedge.assign.by_name import strategy

STRIDES = (8, 16, 32, 64, 128)
CLASSES = 20


# -- grids -----------------------------------------------------------------------------------------


def retinanet(size: tuple[int, int]) -> Grid:
    """Nine shapes a cell on five levels, as torchvision places them."""
    octaves = [2 ** (i / 3) for i in range(3)]
    ratios = [0.5, 1.0, 2.0]
    levels = [
        Level(
            stride=s,
            offset=0.0,
            shapes=[(4 * s * o / r**0.5, 4 * s * o * r**0.5) for r in ratios for o in octaves],
        )
        for s in STRIDES
    ]
    return Grid(size, levels)


def points(size: tuple[int, int]) -> Grid:
    """Anchor points on five levels."""
    return Grid(size, [Level(stride=s) for s in STRIDES])


def squares(size: tuple[int, int]) -> Grid:
    """One square of eight strides a cell (ATSS)."""
    return Grid(size, [Level(stride=s, shapes=[(8.0 * s, 8.0 * s)]) for s in STRIDES])


def fields(size: tuple[int, int]) -> Grid:
    """Receptive fields of a ResNet-50 pyramid (RFLA)."""
    half = (45.5, 133.5, 213.5, 277.5, 405.5)
    return Grid(size, [Level(stride=s, shapes=[(f, f)]) for s, f in zip(STRIDES, half)])


def coarse(size: tuple[int, int]) -> Grid:
    """YOLOF's single level."""
    return Grid(size, [Level(stride=32, shapes=[(2.0**i, 2.0**i) for i in range(5, 10)])])


def yolov2(size: tuple[int, int]) -> Grid:
    """YOLOv2's five shapes for COCO, in cells."""
    shapes = [(0.57273, 0.677385), (1.87446, 2.06253), (3.33843, 5.47434), (7.88282, 3.52778)]
    shapes = [(32 * w, 32 * h) for w, h in (*shapes, (9.77052, 9.16828))]
    return Grid(size, [Level(stride=32, shapes=shapes)])


def yolov3(size: tuple[int, int]) -> Grid:
    """YOLOv3's nine shapes."""
    shapes = [[(10, 13), (16, 30), (33, 23)], [(30, 61), (62, 45), (59, 119)]]
    shapes.append([(116, 90), (156, 198), (373, 326)])
    return Grid(size, [Level(stride=s, shapes=a) for s, a in zip((8, 16, 32), shapes)])


# -- strategies ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One line of the table: a strategy on its grid, and the same rule in dense form.

    ``matrix``: the dense form compares anchors with objects; False for the rules of a cell.
    """

    strategy: Callable[[], assign.Assigner]
    grid: Callable[[tuple[int, int]], Grid]
    dense: Dense
    predictions: bool = False
    matrix: bool = True


def labels_of(form: Callable[[Scene], dense_bags.Weights], scene: Scene) -> Tensor:
    """Labels of a form that gives weights."""
    return form(scene).labels


def _predicting(name: str, grid: Callable, form: Callable, **settings: Any) -> Case:
    rule = partial(getattr(assign, name), **settings)
    if hasattr(dense_bags, form.__name__):
        form = partial(labels_of, form)
    return Case(rule, grid, form, predictions=True)


_BEST2 = partial(dense_forms.best_shape, ignore_above=0.6)
_BEST3 = partial(dense_forms.best_shape, ignore_above=0.7)

CASES: dict[str, Case] = {
    "MaxIoU": Case(assign.MaxIoU, retinanet, dense_forms.max_iou),
    "SSDMatch": Case(assign.SSDMatch, retinanet, dense_forms.ssd),
    "SSDMatch greedy": Case(
        partial(assign.SSDMatch, first="greedy"), retinanet, dense_forms.ssd_greedy
    ),
    "ATSS": Case(assign.ATSS, squares, dense_forms.atss),
    "FCOS": Case(assign.FCOS, points, dense_forms.fcos),
    "FCOS centre": Case(
        partial(assign.FCOS, centre_radius=1.5), points, partial(dense_forms.fcos, radius=1.5)
    ),
    "CentreRegion": Case(assign.CentreRegion, points, dense_forms.centre_region),
    "RFLA": Case(assign.RFLA, fields, dense_forms.rfla),
    "Uniform": Case(assign.Uniform, coarse, dense_forms.uniform),
    "BestInCell": Case(assign.BestInCell, yolov2, _BEST2, matrix=False),
    "YOLOv3": Case(assign.YOLOv3, yolov3, _BEST3, matrix=False),
    "YOLOv5": Case(assign.YOLOv5, yolov3, dense_forms.yolov5, matrix=False),
    "SoftCell": Case(assign.SoftCell, yolov2, dense_forms.soft_cell, matrix=False),
    "Uniform, predictions": Case(assign.Uniform, coarse, dense_forms.uniform, predictions=True),
    "BestInCell, predictions": Case(assign.BestInCell, yolov2, _BEST2, predictions=True),
    "YOLOv3, predictions": Case(assign.YOLOv3, yolov3, _BEST3, predictions=True),
    "PAA": _predicting("PAA", squares, dense_predictions.paa),
    "FreeAnchor": _predicting("FreeAnchor", squares, dense_bags.free_anchor),
    "MAL": _predicting("MAL", squares, dense_bags.mal, progress=0.5),
    "NoisyAnchors": _predicting("NoisyAnchors", squares, dense_bags.noisy_anchors),
    "LADA": _predicting("LADA", points, dense_predictions.lada),
    "OTA": _predicting("OTA", points, dense_predictions.ota),
    "SimOTA": _predicting("SimOTA", points, dense_predictions.sim_ota),
    "TAL": _predicting("TAL", points, dense_predictions.tal),
    "AutoAssign": _predicting("AutoAssign", points, dense_bags.auto_assign),
    "DW": _predicting("DW", points, dense_bags.dw),
    "DynamicSoftLabel": _predicting(
        "DynamicSoftLabel", points, dense_predictions.dynamic_soft_label
    ),
    "Hungarian": _predicting("Hungarian", points, dense_predictions.hungarian),
    "MaxIoU, SimD": Case(partial(strategy, "by_simd"), retinanet, dense_newer.by_simd),
    "Ranked": Case(assign.Ranked, fields, dense_newer.ranked),
    "SizeIoU": Case(assign.SizeIoU, retinanet, dense_newer.size_iou),
    "ATSS, predictions": _predicting("ATSS", squares, dense_newer.atss_by_predictions, alpha=0.8),
    "TAL, one kept": _predicting("TAL", points, dense_newer.tal_one, keep=1),
    "POTO": _predicting("POTO", points, dense_newer.poto),
    "OneToFew": _predicting("OneToFew", points, dense_newer.one_to_few),
    "AlignedOTA": _predicting("AlignedOTA", points, dense_newer.aligned_ota),
    "YOLOv7": Case(assign.YOLOv7, yolov3, dense_newer.yolov7, predictions=True, matrix=False),
    "Hungarian, product": _predicting(
        "Hungarian", points, dense_newer.hungarian_product, cost="product"
    ),
}
WEIGHTS = ("FreeAnchor", "MAL", "AutoAssign", "DW")  # labels are those of the largest weight


# -- scenes ----------------------------------------------------------------------------------------


def objects(count: int, size: tuple[int, int], sizes: str, rng: torch.Generator) -> Tensor:
    """``count`` boxes (count, 4) inside an image."""
    height, width = size
    if sizes == "any":
        side = 8 * 50 ** torch.rand(count, generator=rng)
    else:
        typical = (height * width / count) ** 0.5
        side = (typical * torch.exp(0.5 * torch.randn(count, generator=rng))).clamp(min=4)
    stretch = torch.exp(0.4 * torch.randn(count, generator=rng))
    wh = torch.stack([side * stretch**0.5, side / stretch**0.5], 1)
    wh = torch.minimum(wh, 0.9 * torch.tensor([width, height]))
    corner = torch.rand(count, 2, generator=rng) * (torch.tensor([width, height]) - wh)
    return torch.cat([corner, corner + wh], 1)


def predicted_boxes(grid: Grid, boxes: Tensor, rng: torch.Generator) -> Tensor:
    """(N, 4) boxes of a head in the middle of training.

    Half of the anchors inside an object predict the smallest such object, off by a tenth of its
    size; the others their own cell, off by half of it.
    """

    def noise(count: int) -> Tensor:
        return torch.rand(count, 4, generator=rng, dtype=boxes.dtype) - 0.5

    point, stride = grid.points(), grid.stride()
    out = torch.cat([point - stride / 2, point + stride / 2], 1).to(boxes.dtype)
    out += 0.5 * stride.repeat(1, 2) * noise(len(grid))
    everywhere = assign.FCOS(ranges=[(0, torch.inf)] * grid.num_levels)
    found = everywhere(grid, Targets.from_list([{"boxes": boxes}]))
    half = torch.rand(len(found), generator=rng) < 0.5
    anchor, goal = found.anchor[half], boxes[found.target[half]]
    out[anchor] = goal + 0.2 * (goal[:, 2:] - goal[:, :2]).repeat(1, 2) * noise(len(goal))
    return out


def predictions(grid: Grid, boxes: list[Tensor], rng: torch.Generator) -> Predictions:
    """Predicted boxes and logits of ``CLASSES`` classes for images with these objects."""
    predicted = torch.stack([predicted_boxes(grid, each, rng) for each in boxes])
    logits = torch.randn(len(boxes), len(grid), CLASSES, generator=rng) - 3
    return Predictions.from_tensors(logits, predicted)
