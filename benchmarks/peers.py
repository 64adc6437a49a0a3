"""The assigners of other libraries behind one signature, for the benchmarks and the parity tests.

``PEERS[strategy, peer](grid, anchors, boxes, labels, logits, predicted)`` is one image's labels
(N,) int64: >= 0 the object, -1 background, -2 ignored. ``anchors`` (N, 4), ``boxes`` (G, 4),
``labels`` (G,), ``logits`` (N, C) and ``predicted`` boxes (N, 4), the last two None for rules of
geometry. ``COUNTERPARTS[strategy, peer]`` is Kedge's rule with the same settings.

A peer that is not installed is not in the dictionaries; nothing of it is imported before the first
call. None of them is a dependency of Kedge, and no line of them is in it. Detectron2 is not on the
package index: set KEDGE_DETECTRON2 to a checkout of it.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kedge import Grid
from kedge.assign import (
    ATSS,
    FCOS,
    TAL,
    CentreRegion,
    DynamicSoftLabel,
    Hungarian,
    MaxIoU,
    SimOTA,
    SSDMatch,
    Uniform,
)
from kedge.types import Assigner

Rule = Callable[[Grid, Tensor, Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
BACKGROUND, IGNORED = -1, -2


def _nothing(anchors: Tensor) -> Tensor:
    return torch.full((len(anchors),), BACKGROUND, device=anchors.device)


def _middle(anchors: Tensor) -> Tensor:
    return (anchors[:, :2] + anchors[:, 2:]) / 2


# -- torchvision -----------------------------------------------------------------------------------


def torchvision_matcher(positive: float, negative: float) -> Rule:
    """Matcher with low-quality matches, as RetinaNet and the region proposal network use it."""

    def rule(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
        from torchvision.models.detection._utils import Matcher
        from torchvision.ops import box_iou

        if not len(boxes):
            return _nothing(anchors)
        matcher = Matcher(positive, negative, allow_low_quality_matches=True)
        return matcher(box_iou(boxes, anchors))

    return rule


def torchvision_ssd(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
    """SSDMatcher at 0.5."""
    from torchvision.models.detection._utils import SSDMatcher
    from torchvision.ops import box_iou

    return SSDMatcher(0.5)(box_iou(boxes, anchors)) if len(boxes) else _nothing(anchors)


def torchvision_fcos(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
    """The matching that stands inside FCOS.compute_loss, with a head that returns it."""
    from torchvision.models.detection import FCOS as Peer

    head = SimpleNamespace(compute_loss=lambda targets, outputs, anchors, matched: matched)
    detector: Any = SimpleNamespace(center_sampling_radius=1.5, head=head)
    return Peer.compute_loss(
        detector, [{"boxes": boxes}], {}, [anchors], list(grid.anchors_per_level)
    )[0]


# -- Detectron2 ------------------------------------------------------------------------------------


def detectron2_path() -> str | None:
    """A folder that holds the package ``detectron2``; None: it is installed, or it is not there."""
    folder = os.environ.get("KEDGE_DETECTRON2")
    if folder and (Path(folder) / "detectron2" / "__init__.py").is_file():
        return folder
    return None


@cache
def detectron2() -> SimpleNamespace:
    """The parts of Detectron2 that are compared."""
    folder = detectron2_path()
    if folder is not None and folder not in sys.path:
        sys.path.append(folder)
    from detectron2.modeling.box_regression import Box2BoxTransform, Box2BoxTransformLinear
    from detectron2.modeling.matcher import Matcher
    from detectron2.modeling.meta_arch.fcos import FCOS
    from detectron2.structures import Boxes, pairwise_iou

    return SimpleNamespace(
        Matcher=Matcher,
        FCOS=FCOS,
        Boxes=Boxes,
        pairwise_iou=pairwise_iou,
        Box2BoxTransform=Box2BoxTransform,
        Box2BoxTransformLinear=Box2BoxTransformLinear,
    )


def detectron2_matcher(positive: float, negative: float) -> Rule:
    """Matcher with low-quality matches, as RetinaNet and the region proposal network use it."""

    def rule(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
        peer = detectron2()
        matcher = peer.Matcher([negative, positive], [0, -1, 1], allow_low_quality_matches=True)
        index, kind = matcher(peer.pairwise_iou(peer.Boxes(boxes), peer.Boxes(anchors)))
        other = torch.where(kind == 0, BACKGROUND, IGNORED)
        return torch.where(kind == 1, index, other)

    return rule


def detectron2_fcos(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
    """FCOS._match_anchors and the maximum that its label_anchors takes."""
    peer = detectron2()
    if not len(boxes):
        return _nothing(anchors)
    levels = [peer.Boxes(part) for part in anchors.split(list(grid.anchors_per_level))]
    detector: Any = SimpleNamespace(center_sampling_radius=1.5)
    quality, index = peer.FCOS._match_anchors(detector, peer.Boxes(boxes), levels).max(0)
    return torch.where(quality < 1e-5, BACKGROUND, index)


# -- MMDetection -----------------------------------------------------------------------------------


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
    """MMDetection's assigners, coders, heads and losses, and InstanceData."""
    if find_spec("mmcv._ext") is None:
        sys.modules.setdefault("mmcv._ext", _NoKernels("mmcv._ext"))
    from mmdet.models import dense_heads, losses
    from mmdet.models.task_modules import assigners, coders
    from mmengine.structures import InstanceData

    return SimpleNamespace(
        assigners=assigners,
        coders=coders,
        heads=dense_heads,
        losses=losses,
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
            head, given, _middle(anchors), ranges[level], per_level
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
    return torch.cat([_middle(anchors), grid.stride()], 1)


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
    priors = _middle(anchors).repeat(1, 2) + anchors.new_tensor([-1, -1, 1, 1]) / 256
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


# -- Ultralytics (AGPL-3.0: called, never shipped) -------------------------------------------------


@cache
def ultralytics() -> SimpleNamespace:
    """Ultralytics' assigner and losses; its settings file goes to a temporary folder."""
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.gettempdir())
    from ultralytics.utils import loss, metrics, tal

    return SimpleNamespace(tal=tal, loss=loss, metrics=metrics)


def ultralytics_tal(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
    """TaskAlignedAssigner, topk 10, alpha 0.5, beta 6, strides of the grid's first levels."""
    if not len(boxes):
        return _nothing(anchors)
    strides = [float(level.strides[0]) for level in grid.levels]
    peer = ultralytics().tal.TaskAlignedAssigner(
        topk=10, num_classes=logits.shape[1], alpha=0.5, beta=6.0, stride=strides
    )
    real = torch.ones(1, len(boxes), 1, dtype=torch.bool, device=boxes.device)
    result = peer(
        logits.sigmoid()[None],
        predicted[None],
        _middle(anchors),
        labels[None, :, None],
        boxes[None],
        real,
    )
    return torch.where(result[3][0], result[4][0], BACKGROUND)


# -- all of them -----------------------------------------------------------------------------------


def available(peer: str) -> bool:
    """Whether ``peer`` can be imported; looks for the package without importing it."""
    if peer == "torchvision":
        return True
    if peer == "Detectron2":
        found = detectron2_path() is not None or find_spec("detectron2") is not None
        return found and find_spec("fvcore") is not None
    if peer == "MMDetection":
        return all(find_spec(name) is not None for name in ("mmdet", "mmcv", "mmengine"))
    return find_spec(peer.lower()) is not None


_FCOS = FCOS(centre_radius=1.5, strict=True)
_RANGES = tuple(pairwise((0.0, 64.0, 128.0, 256.0, 512.0, torch.inf)))
_SAMPLED = FCOS(ranges=_RANGES, centre_radius=1.5)
_RPN = MaxIoU(positive=0.7, negative=0.3)
_MM_RETINANET = MaxIoU(low_quality="rescuer")
_MM_RPN = MaxIoU(positive=0.7, negative=0.3, low_quality="rescuer", min_low_quality=0.3)
_RULES: list[tuple[str, str, Assigner, Rule]] = [
    ("MaxIoU", "torchvision", MaxIoU(), torchvision_matcher(0.5, 0.4)),
    ("MaxIoU", "torchvision RPN", _RPN, torchvision_matcher(0.7, 0.3)),
    ("SSDMatch", "torchvision", SSDMatch(), torchvision_ssd),
    ("FCOS", "torchvision", _FCOS, torchvision_fcos),
    ("MaxIoU", "Detectron2", MaxIoU(), detectron2_matcher(0.5, 0.4)),
    ("MaxIoU", "Detectron2 RPN", _RPN, detectron2_matcher(0.7, 0.3)),
    ("FCOS", "Detectron2", _FCOS, detectron2_fcos),
    ("MaxIoU", "MMDetection", _MM_RETINANET, mmdetection_max_iou(0.5, 0.4, 0.0)),
    ("MaxIoU", "MMDetection RPN", _MM_RPN, mmdetection_max_iou(0.7, 0.3, 0.3)),
    ("FCOS", "MMDetection", FCOS(ranges=_RANGES), mmdetection_fcos(None)),
    ("FCOS", "MMDetection centre", _SAMPLED, mmdetection_fcos(1.5)),
    ("ATSS", "MMDetection", ATSS(), mmdetection_atss),
    ("TAL", "MMDetection", TAL(), mmdetection_tal),
    ("SimOTA", "MMDetection", SimOTA(), mmdetection_simota),
    ("DynamicSoftLabel", "MMDetection", DynamicSoftLabel(), mmdetection_dynamic),
    ("Uniform", "MMDetection", Uniform(), mmdetection_uniform),
    ("CentreRegion", "MMDetection", CentreRegion(), mmdetection_centre_region),
    ("Hungarian", "MMDetection", Hungarian(), mmdetection_hungarian),
    ("TAL", "Ultralytics", TAL.ultralytics(), ultralytics_tal),
]
_HERE = [r for r in _RULES if available(r[1].split()[0])]
PEERS: dict[tuple[str, str], Rule] = {(name, peer): rule for name, peer, _, rule in _HERE}
COUNTERPARTS: dict[tuple[str, str], Assigner] = {(name, peer): own for name, peer, own, _ in _HERE}
