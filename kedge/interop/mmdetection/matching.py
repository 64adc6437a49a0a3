"""What stands in the place of ``assign`` of MMDetection's assigners."""

from typing import Any

import torch
from mmdet.models.task_modules.assigners import (  # pyright: ignore[reportMissingImports]
    AssignResult,
)
from torch import Tensor

from kedge.anchors.boxes import Boxes
from kedge.anchors.grid import Grid
from kedge.anchors.recognise import GridReader, ListedGrid
from kedge.assign.atss import ATSS
from kedge.assign.max_iou import MaxIoU
from kedge.assign.ssd_match import SSDMatch
from kedge.detectors.stage import largest_iou
from kedge.interop.carried import Carried, require_carried
from kedge.types import Assigner, Assignment, Predictions, Targets

TABLE = 200_000  # priors x objects up to which the peer's own table is taken: RetinaNet's limit
CARRIES: frozenset[Carried] = frozenset({"ignored", "outside"})


class Result(AssignResult):
    """An ``AssignResult`` whose ``max_overlaps``, which few heads read, are computed when read."""

    def __init__(self, found: Assignment, labels: Tensor) -> None:
        inds = torch.zeros(found.total, dtype=torch.long, device=labels.device)
        inds[found.ignored] = -1
        inds[found.anchor] = found.target + 1
        own = torch.full_like(inds, -1)
        own[found.anchor] = labels[found.target]
        self._found: Assignment | None = found
        super().__init__(len(labels), inds, None, own)

    @property
    def max_overlaps(self) -> Tensor | None:
        """(N,) the largest IoU of every prior."""
        if self._overlaps is None and self._found is not None:
            self._overlaps, self._found = largest_iou(self._found), None
        return self._overlaps

    @max_overlaps.setter
    def max_overlaps(self, values: Tensor | None) -> None:
        self._overlaps = values


class Matching:
    """``assigner.assign``, by the assigner's settings at the time of the call."""

    def __init__(self, assigner: Any, peer: type) -> None:
        self.assigner, self.peer = assigner, peer
        self.reader = GridReader()

    def __call__(self, pred_instances: Any, *given: Any, **named: Any) -> Any:
        boxes = plain(pred_instances.priors)
        objects, ignore = instances_of(given, named)
        rule = rule_of(self.assigner)
        few = len(boxes) * len(objects.bboxes) <= TABLE or len(boxes) == 0
        crowds = 0 if ignore is None else len(ignore.bboxes)
        if rule is None or few or (crowds and self.assigner.ignore_iof_thr > 0):
            return self.peer.assign(self.assigner, pred_instances, *given, **named)
        anchors = self.reader.or_list(boxes)
        if isinstance(rule, ATSS) and not one_shape(anchors):
            return self.peer.assign(self.assigner, pred_instances, *given, **named)
        return Result(rule(anchors, targets_of(objects)), objects.labels)


def by_strategy(
    rule: Assigner, reader: GridReader, points: bool, pred_instances: Any, objects: Any, ignore: Any
) -> Result:
    """The result of any strategy, as ``assigned``; what it cannot say is refused."""
    found = assigned(rule, reader, points, pred_instances, objects, ignore)
    cure = "take a strategy of hard pairs, one object for an anchor"
    require_carried(found, CARRIES, rule, "MMDetection", cure)
    return Result(found, objects.labels)


def assigned(
    rule: Assigner, reader: GridReader, points: bool, pred_instances: Any, objects: Any, ignore: Any
) -> Assignment:
    """What any strategy makes of an image; ``points``: priors are (x, y, stride w, stride h)."""
    priors = plain(pred_instances.priors)
    if points:
        point, half = priors[:, :2], priors[:, 2:] / 2
        priors = torch.cat([point - half, point + half], dim=1)
    predictions = None
    if "scores" in pred_instances and "bboxes" in pred_instances:
        logits = torch.logit(pred_instances.scores.float(), eps=1e-7)
        boxes = plain(pred_instances.bboxes).float()
        predictions = Predictions.from_tensors(logits[None], boxes[None])
    return rule(reader.or_list(priors), targets_of(objects, ignore), predictions)


def plain(boxes: Any) -> Tensor:
    """The tensor of MMDetection's box types."""
    return getattr(boxes, "tensor", boxes)


def one_shape(anchors: ListedGrid | Boxes) -> bool:
    """Whether every cell has one shape: the peer's ATSS counts anchors where Kedge counts cells."""
    return isinstance(anchors, Grid) and set(anchors.shapes_per_level) == {1}


def instances_of(given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
    """The objects, and the crowds or None, of the arguments of any ``assign``."""
    rest = [value for value in given if not isinstance(value, (list, tuple))]  # ATSS: level sizes
    objects = named.get("gt_instances")
    objects = rest.pop(0) if objects is None else objects
    ignore = named.get("gt_instances_ignore")
    return objects, rest.pop(0) if ignore is None and rest else ignore


def targets_of(objects: Any, ignore: Any = None) -> Targets:
    """MMDetection's instances of one image; ``ignore``: crowds, after the objects."""
    boxes, labels = plain(objects.bboxes), objects.labels
    crowd = torch.zeros_like(labels, dtype=torch.bool)
    if ignore is not None and len(ignore.bboxes):
        more = plain(ignore.bboxes).to(boxes)
        boxes, labels = torch.cat([boxes, more]), torch.cat([labels, labels.new_zeros(len(more))])
        crowd = torch.cat([crowd, torch.ones_like(crowd[:1]).expand(len(more))])
    return Targets.from_list([{"boxes": boxes, "labels": labels, "iscrowd": crowd}])


def rule_of(assigner: Any) -> Assigner | None:
    """The assigner's rule in Kedge's words; None where it has settings that only it knows."""
    if type(assigner.iou_calculator).__name__ != "BboxOverlaps2D":
        return None
    if hasattr(assigner, "topk"):
        return ATSS(k=assigner.topk) if assigner.alpha is None else None
    if not isinstance(assigner.neg_iou_thr, (int, float)) or assigner.perm_repeat_gt_cfg:
        return None
    if not assigner.gt_max_assign_all:
        return _ssd(assigner)
    return MaxIoU(
        positive=assigner.pos_iou_thr,
        negative=assigner.neg_iou_thr,
        low_quality="rescuer" if assigner.match_low_quality else "none",
        min_low_quality=assigner.min_pos_iou,
    )


def _ssd(assigner: Any) -> SSDMatch | None:
    """The rule of SSD, in which an object rescues one of equal anchors, and none is ignored."""
    same = assigner.pos_iou_thr == assigner.neg_iou_thr and assigner.min_pos_iou == 0
    if same and assigner.match_low_quality:
        return SSDMatch(positive=assigner.pos_iou_thr)
    return None
