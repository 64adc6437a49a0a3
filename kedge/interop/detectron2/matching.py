"""What stands in the place of the labelling methods of Detectron2's RetinaNet and RPN."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kedge.anchors.recognise import GridReader
from kedge.assign.max_iou import MaxIoU
from kedge.interop.undo import Undo
from kedge.types import BACKGROUND, IGNORED, Targets

TABLE = 200_000  # anchors x objects of a batch up to which the peer's own table is taken


def peer_of(kind: type, name: str) -> type | None:
    """Detectron2's class of this name among the bases of ``kind``."""
    own = (base for base in kind.__mro__ if base.__module__.split(".")[0] == "detectron2")
    return next((base for base in own if base.__name__ == name), None)


class _Labels:
    """One labelling method of a Detectron2 module, matched by Kedge."""

    owner: str
    method: str

    def __init__(self, module: Any) -> None:
        self.module, self.reader = module, GridReader()

    @classmethod
    def put(cls, module: Any, peer: type, undo: Undo) -> None:
        """Takes the place of the method, until the undo; errors: ``ValueError``."""
        if cls.method in vars(module):
            raise ValueError(f"{cls.owner} is replaced already: call the undo of the first")
        own = getattr(type(module), cls.method, None)
        if own is None or own is not getattr(peer, cls.method, None):
            raise ValueError(f"{type(module).__name__} has a {cls.method} that Kedge does not know")
        rule_of(module.anchor_matcher)
        undo.set(module, cls.method, cls(module))
        undo.replaced.append(f"{cls.owner}.{cls.method} (MaxIoU)")

    @torch.no_grad()
    def __call__(self, anchors: Sequence[Any], gt_instances: Sequence[Any]) -> Any:
        boxes = torch.cat([level.tensor for level in anchors])
        objects = [instances.gt_boxes.tensor for instances in gt_instances]
        if len(boxes) * sum(len(part) for part in objects) <= TABLE:
            return getattr(type(self.module), self.method)(self.module, anchors, gt_instances)
        known = self.reader.or_list(boxes, [len(level) for level in anchors])
        targets = Targets.from_list([{"boxes": part} for part in objects])
        index = rule_of(self.module.anchor_matcher)(known, targets).dense()
        matched = [
            part[row] if len(part) else torch.zeros_like(boxes)
            for part, row in zip(objects, index.clamp(min=0))
        ]
        every = type(anchors[0]).cat(list(anchors))
        labels = [self.labels(i, g, every) for i, g in zip(index, gt_instances)]
        return labels, matched

    def labels(self, index: Tensor, instances: Any, anchors: Any) -> Tensor:
        """The labels (N,) of an image, of the object of every anchor (N,), -1 or -2."""
        raise NotImplementedError


class RetinaNetLabels(_Labels):
    """``RetinaNet.label_anchors``: classes, the number of classes for background, -1 ignored."""

    owner, method = "RetinaNet", "label_anchors"

    def labels(self, index: Tensor, instances: Any, anchors: Any) -> Tensor:
        classes = torch.full_like(index, self.module.num_classes)
        if len(instances):
            classes = instances.gt_classes[index.clamp(min=0)]
        classes[index == BACKGROUND] = self.module.num_classes
        classes[index == IGNORED] = -1
        return classes


class RPNLabels(_Labels):
    """``RPN.label_and_sample_anchors``: 1, 0, or -1 where ignored or not in the sample."""

    owner, method = "RPN", "label_and_sample_anchors"

    def labels(self, index: Tensor, instances: Any, anchors: Any) -> Tensor:
        kind = torch.where(index >= 0, 1, torch.where(index == IGNORED, -1, 0)).to(torch.int8)
        border = self.module.anchor_boundary_thresh
        if border >= 0:
            kind[~anchors.inside_box(instances.image_size, border)] = -1
        return self.module._subsample_labels(kind)


SEAMS: tuple[type[_Labels], ...] = (RetinaNetLabels, RPNLabels)


def rule_of(matcher: Any) -> MaxIoU:
    """Detectron2's ``Matcher`` in Kedge's words; ``ValueError`` for other labels than (0, -1, 1) or
    (0, 1)."""
    labels, inner = list(matcher.labels), list(matcher.thresholds)[1:-1]
    if labels not in ([0, -1, 1], [0, 1]):
        raise ValueError(f"the matcher labels {labels}: Kedge knows [0, -1, 1] and [0, 1]")
    return MaxIoU(
        positive=inner[-1],
        negative=inner[0],
        low_quality="own" if matcher.allow_low_quality_matches else "none",
    )
