"""MMDetection's assigners behind the signature of ``peers.py``, and what the parity tests need."""

import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from _peer import BACKGROUND, IGNORED, Rule, middle
from torch import Tensor

from kedge import Grid


class _NoKernels(ModuleType):
    """Stands in for mmcv's compiled kernels: the assigners need none of them."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith("__"):
            raise AttributeError(name)

        def kernel(*_: object, **__: object) -> None:
            raise RuntimeError(f"mmcv's kernel {name} is not compiled here")

        return kernel


@cache
def mmdetection() -> SimpleNamespace:
    """MMDetection's backbones, necks, heads, assigners, coders and losses, and InstanceData."""
    if find_spec("mmcv._ext") is None:
        sys.modules.setdefault("mmcv._ext", _NoKernels("mmcv._ext"))
    from mmdet.models import backbones, dense_heads, losses, necks
    from mmdet.models.task_modules import assigners, coders
    from mmengine.structures import InstanceData

    return SimpleNamespace(
        assigners=assigners,
        backbones=backbones,
        coders=coders,
        heads=dense_heads,
        losses=losses,
        necks=necks,
        InstanceData=InstanceData,
    )


def mmdetection_labels(result: Any) -> Tensor:
    """Of an AssignResult, whose 0 is background, -1 ignored and the rest the object + 1."""
    index = result.gt_inds
    return torch.where(index > 0, index - 1, torch.where(index == 0, BACKGROUND, IGNORED))


def mmdetection_instances(boxes: Tensor, labels: Tensor) -> Any:
    """The objects of an image."""
    return mmdetection().InstanceData(bboxes=boxes, labels=labels)


def mmdetection_max_iou(positive: float, negative: float, low: float) -> Rule:
    """MaxIoUAssigner with the settings of a configuration file."""

    def rule(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
        peer = mmdetection()
        assigner = peer.assigners.MaxIoUAssigner(positive, negative, min_pos_iou=low)
        instances = mmdetection_instances(boxes, labels)
        return mmdetection_labels(assigner.assign(peer.InstanceData(priors=anchors), instances))

    return rule


def mmdetection_atss(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
    """ATSSAssigner, 9 per level and shape: it counts anchors, the authors' code and Kedge cells."""
    peer = mmdetection()
    per_level = list(grid.anchors_per_level)
    instances = mmdetection_instances(boxes, labels)
    (shapes,) = set(grid.shapes_per_level)  # one topk for all levels
    assigner = peer.assigners.ATSSAssigner(topk=9 * shapes)
    priors = peer.InstanceData(priors=anchors)
    return mmdetection_labels(assigner.assign(priors, per_level, instances))


def mmdetection_fcos(radius: float | None) -> Rule:
    """The targets of FCOSHead; its labels are the objects' numbers, given as their classes."""

    def rule(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
        peer = mmdetection()
        per_level = list(grid.anchors_per_level)
        head: Any = SimpleNamespace(
            num_classes=len(boxes),
            center_sampling=radius is not None,
            center_sample_radius=radius,
            strides=[level.strides[0] for level in grid.levels],
        )
        limits = [0, 64, 128, 256, 512, 1e8]
        ranges = anchors.new_tensor(list(pairwise(limits)))
        level = torch.arange(len(per_level), device=anchors.device)
        level = level.repeat_interleave(torch.tensor(per_level, device=anchors.device))
        number = torch.arange(len(boxes), device=boxes.device)
        given = mmdetection_instances(boxes, number)
        found, _ = peer.heads.FCOSHead._get_targets_single(
            head, given, middle(anchors), ranges[level], per_level
        )
        return torch.where(found == len(boxes), BACKGROUND, found)

    return rule


def mmdetection_tal(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
    """TaskAlignedAssigner, topk 13, alpha 1, beta 6 (TOOD)."""
    peer = mmdetection()
    given = peer.InstanceData(priors=anchors, bboxes=predicted, scores=logits.sigmoid())
    assigner = peer.assigners.TaskAlignedAssigner(topk=13)
    result = assigner.assign(given, mmdetection_instances(boxes, labels), alpha=1, beta=6)
    return mmdetection_labels(result)


def _point_priors(grid: Grid, anchors: Tensor) -> Tensor:
    """(N, 4) centre and stride, as YOLOX and RTMDet hand them over."""
    return torch.cat([middle(anchors), grid.stride()], 1)


def mmdetection_simota(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
    """SimOTAAssigner; scores are square roots of the probabilities, as YOLOX's head hands over."""
    peer = mmdetection()
    given = peer.InstanceData(
        bboxes=predicted, scores=logits.sigmoid().sqrt(), priors=_point_priors(grid, anchors)
    )
    result = peer.assigners.SimOTAAssigner().assign(given, mmdetection_instances(boxes, labels))
    return mmdetection_labels(result)


def mmdetection_dynamic(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
    """DynamicSoftLabelAssigner, topk 13 (RTMDet)."""
    peer = mmdetection()
    given = peer.InstanceData(bboxes=predicted, scores=logits, priors=_point_priors(grid, anchors))
    assigner = peer.assigners.DynamicSoftLabelAssigner(topk=13)
    return mmdetection_labels(assigner.assign(given, mmdetection_instances(boxes, labels)))


def mmdetection_uniform(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
    """UniformAssigner, 4 matches, ignored below 0.15 and above 0.7 (YOLOF)."""
    peer = mmdetection()
    given = peer.InstanceData(priors=anchors, decoder_priors=predicted)
    assigner = peer.assigners.UniformAssigner(pos_ignore_thr=0.15, neg_ignore_thr=0.7)
    return mmdetection_labels(assigner.assign(given, mmdetection_instances(boxes, labels)))


def mmdetection_centre_region(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
    """CenterRegionAssigner, 0.2 and 0.5, on anchors shrunk to points; -2: shadowed for a class.

    It asks for a share of an anchor in the region, Kedge and the papers for its centre; for a
    point both are the same.
    """
    peer = mmdetection()
    priors = middle(anchors).repeat(1, 2) + anchors.new_tensor([-1, -1, 1, 1]) / 256
    given = peer.InstanceData(priors=priors)
    assigner = peer.assigners.CenterRegionAssigner(
        pos_scale=0.2, neg_scale=0.5, min_pos_iof=0.5, foreground_dominate=True
    )
    result = assigner.assign(given, mmdetection_instances(boxes, labels))
    found = mmdetection_labels(result)
    shadowed = torch.zeros_like(found, dtype=torch.bool)
    shadowed[result.get_extra_property("shadowed_labels")[:, 0]] = True
    return torch.where((found < 0) & shadowed, IGNORED, found)


def mmdetection_hungarian(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
    """HungarianAssigner with the focal costs of Deformable DETR, 2, 5, 2."""
    peer = mmdetection()
    costs = [
        {"type": "FocalLossCost", "weight": 2.0},
        {"type": "BBoxL1Cost", "weight": 5.0, "box_format": "xywh"},
        {"type": "IoUCost", "iou_mode": "giou", "weight": 2.0},
    ]
    given = peer.InstanceData(bboxes=predicted, scores=logits)
    result = peer.assigners.HungarianAssigner(costs).assign(
        given, mmdetection_instances(boxes, labels), img_meta={"img_shape": grid.image_size}
    )
    return mmdetection_labels(result)
