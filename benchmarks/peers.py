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
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from _peer import BACKGROUND, IGNORED, Rule, middle, nothing
from peers_mmdetection import (
    mmdetection_atss,
    mmdetection_centre_region,
    mmdetection_dynamic,
    mmdetection_fcos,
    mmdetection_hungarian,
    mmdetection_max_iou,
    mmdetection_simota,
    mmdetection_tal,
    mmdetection_uniform,
)
from torch import Tensor

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

# -- torchvision -----------------------------------------------------------------------------------


def torchvision_matcher(positive: float, negative: float) -> Rule:
    """Matcher with low-quality matches, as RetinaNet and the region proposal network use it."""

    def rule(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
        from torchvision.models.detection._utils import Matcher
        from torchvision.ops import box_iou

        if not len(boxes):
            return nothing(anchors)
        matcher = Matcher(positive, negative, allow_low_quality_matches=True)
        return matcher(box_iou(boxes, anchors))

    return rule


def torchvision_ssd(grid, anchors, boxes, labels, logits, predicted) -> Tensor:
    """SSDMatcher at 0.5."""
    from torchvision.models.detection._utils import SSDMatcher
    from torchvision.ops import box_iou

    return SSDMatcher(0.5)(box_iou(boxes, anchors)) if len(boxes) else nothing(anchors)


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
        return nothing(anchors)
    levels = [peer.Boxes(part) for part in anchors.split(list(grid.anchors_per_level))]
    detector: Any = SimpleNamespace(center_sampling_radius=1.5)
    quality, index = peer.FCOS._match_anchors(detector, peer.Boxes(boxes), levels).max(0)
    return torch.where(quality < 1e-5, BACKGROUND, index)


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
        return nothing(anchors)
    strides = [float(level.strides[0]) for level in grid.levels]
    peer = ultralytics().tal.TaskAlignedAssigner(
        topk=10, num_classes=logits.shape[1], alpha=0.5, beta=6.0, stride=strides
    )
    real = torch.ones(1, len(boxes), 1, dtype=torch.bool, device=boxes.device)
    result = peer(
        logits.sigmoid()[None],
        predicted[None],
        middle(anchors),
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
