"""explain: what the assigner of an MMDetection detector does with a batch."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kedge.anchors.grid import Grid
from kedge.anchors.recognise import GridReader
from kedge.detectors.predict import evaluating
from kedge.interop.explained import Explained, as_seen
from kedge.interop.mmdetection.heads import cells_of, detector_of, grid_on, head_of
from kedge.interop.mmdetection.matching import assigned, instances_of, plain, targets_of
from kedge.interop.mmdetection.rules import rule_of_head
from kedge.interop.undo import Undo
from kedge.types import Assigner, Assignment, Targets


def explain(
    model: nn.Module, data: Mapping[str, Any], *, strategy: Assigner | None = None
) -> Explained:
    """The assignment of a batch (of two stages: of the proposals), by the model's own assigner.

    ``data``: what the training's data loader yields, ``inputs`` and ``data_samples``; what the
    model itself would augment is left as it is. ``strategy`` in place of the model's rule. Priors
    that MMDetection leaves out of an image, such as those beyond it, count as ignored. Nothing in
    the model or in ``data`` changes, running means neither.

    Errors: ``ValueError`` for heads and assigners that the doctor does not understand, and for
    TOOD, which asks a running training for its epoch.
    """
    detector = detector_of(model)
    head = head_of(detector)
    rule = rule_of_head(head) if strategy is None else strategy
    if hasattr(head, "initial_epoch"):
        raise ValueError(f"{type(head).__name__} reads the epoch of a running training")
    batch = detector.data_preprocessor(copy.deepcopy(dict(data)), False)  # no random sizes
    pixels, samples = batch["inputs"], batch["data_samples"]
    targets = Targets.from_list(
        [{"boxes": plain(s.gt_instances.bboxes), "labels": s.gt_instances.labels} for s in samples]
    )
    if type(head).__name__ == "RPNHead":
        for sample in samples:  # it knows no classes
            sample.gt_instances.labels = torch.zeros_like(sample.gt_instances.labels)
    with evaluating(detector):
        maps = detector.extract_feat(pixels)
        height, width = pixels.shape[-2:]
        grid = grid_on(head, (height, width), cells_of(maps), pixels.device)
        if not hasattr(head, "assigner"):
            found = rule(grid, targets)  # the head itself is the rule
        else:
            seen = Watched(head.assigner, grid, strategy)
            with Undo("Kedge watches MMDetection's") as undo:
                undo.set(head.assigner, "assign", seen)
                head.loss(maps, samples)
            found = seen.assignment([sample.gt_instances for sample in samples], targets)
    colours = detector.data_preprocessor
    mean, std = (getattr(colours, name, None) for name in ("mean", "std"))
    red_first = getattr(colours, "_channel_conversion", False)  # images are read blue first
    return Explained(rule=rule, assignment=found, pixels=as_seen(pixels, mean, std, red_first))


class Watched:
    """``assign`` of an assigner, whose answers are kept; or those of ``rule``, if given."""

    def __init__(self, assigner: Any, grid: Grid, rule: Assigner | None) -> None:
        self.assign, self.grid, self.rule = assigner.assign, grid, rule
        self.reader = GridReader()
        self.seen: list[tuple[Any, Tensor, Assignment]] = []  # objects, priors, answer

    def __call__(self, pred_instances: Any, *given: Any, **named: Any) -> Any:
        objects, ignore = instances_of(given, named)
        result = self.assign(pred_instances, *given, **named)
        priors = plain(pred_instances.priors)
        if self.rule is None:
            found = _as_assignment(result, targets_of(objects))
        else:
            points = points_of(self.grid)
            found = assigned(self.rule, self.reader, points, pred_instances, objects, ignore)
        self.seen.append((objects, priors, found))
        return result

    def assignment(self, objects: list[Any], targets: Targets) -> Assignment:
        """The answers for the ``objects`` of all images together; an image that the head did not
        ask about has no pair."""
        every, count = self._every(), len(self.grid)
        none = targets.image[:0]
        parts = [(none, none, none, torch.zeros(0, device=none.device))]
        for own, priors, found in self.seen:
            image = next(i for i, part in enumerate(objects) if part.bboxes is own.bboxes)
            rows = rows_of(priors, every)
            left = torch.ones(count, dtype=torch.bool, device=every.device)
            left[rows] = False
            left[rows[found.ignored]] = True
            anchor, target = rows[found.anchor], targets.first[image] + found.target
            ignored = image * count + left.nonzero()[:, 0]
            parts.append((image * count + anchor, target, ignored, found.quality))
        anchor, target, ignored, quality = (torch.cat(column) for column in zip(*parts))
        return Assignment(
            anchor=anchor,
            target=target,
            quality=quality,
            ignored=ignored,
            targets=targets,
            anchors=self.grid,
        )

    def _every(self) -> Tensor:
        """(N, 4) what the head hands over as priors, of all anchors."""
        if points_of(self.grid):
            return torch.cat([self.grid.points(), self.grid.stride()], dim=1)
        return self.grid.boxes()


def points_of(grid: Grid) -> bool:
    """Whether the anchors are points."""
    return all(level.shapes is None for level in grid.levels)


def _as_assignment(result: Any, targets: Targets) -> Assignment:
    """An ``AssignResult`` of one image: 0 background, -1 ignored, else the object + 1."""
    index = result.gt_inds
    anchor = (index > 0).nonzero()[:, 0]
    return Assignment(
        anchor=anchor,
        target=index[anchor] - 1,
        ignored=(index < 0).nonzero()[:, 0],
        targets=targets,
        num_anchors=len(index),
    )


def rows_of(part: Tensor, every: Tensor) -> Tensor:
    """(P,) rows of ``every`` (N, 4) that ``part`` (P, 4) consists of, in the same order."""
    if len(part) == len(every):
        return torch.arange(len(every), device=every.device)
    _, number = torch.cat([every, part.to(every)]).unique(dim=0, return_inverse=True)
    rows = torch.isin(number[: len(every)], number[len(every) :]).nonzero()[:, 0]
    if len(rows) != len(part):
        raise ValueError("the priors of an image are no part of those of its maps")
    return rows
