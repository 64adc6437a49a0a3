"""What stands in the place of Ultralytics' task-aligned assigner."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.anchors.pairs import Pairs
from kedge.anchors.queries.regions import enlarged
from kedge.anchors.segments import rank
from kedge.assign.shared.contest import settle
from kedge.assign.tal import TAL
from kedge.interop.around import Around
from kedge.interop.carried import Carried, require_carried
from kedge.rows import pick, where
from kedge.types import Assigner, Assignment, Predictions, Targets

MARGIN = 1e-9  # px by which a point has to be inside
CARRIES: frozenset[Carried] = frozenset({"quality", "outside"})
Answer = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


class SparseAssigner(Around):
    """Called as ``TaskAlignedAssigner`` is, with the same answer: the same pairs and soft labels.

    Settings are read from ``peer``, the assigner that it replaces, at every call. In files there is
    the peer alone, so a checkpoint loads where Kedge is not installed. ``rule``: another strategy.

    ``table``: images x objects x points up to which the peer's own table is faster, and taken;
    ``watch`` is shown every assignment.

    Deviations: of equal alignments the lower point comes first, where the peer's ``topk`` takes
    any. An object with fewer than k candidates of alignment above 0 gets no others; the peer fills
    up with points of alignment 0 (the first of the map where it has 64 k points or more). Those
    weigh nothing in the losses, but a point that one such object and another both claim can go to a
    third.
    """

    table = 300_000  # measured

    def __init__(self, peer: Any, rule: Assigner | None = None) -> None:
        super().__init__(peer)
        self.rule = rule
        self.watch: Callable[[Assignment], object] | None = None
        self._grid: Grid | None = None

    def __reduce_ex__(self, protocol: Any) -> Any:
        return copy.copy, (self.peer,)

    def __deepcopy__(self, memo: dict[int, Any]) -> "SparseAssigner":
        return type(self)(copy.deepcopy(self.peer, memo), copy.deepcopy(self.rule, memo))

    @torch.no_grad()
    def __call__(
        self,
        pd_scores: Tensor,
        pd_bboxes: Tensor,
        anc_points: Tensor,
        gt_labels: Tensor,
        gt_bboxes: Tensor,
        mask_gt: Tensor,
        **extra: Any,
    ) -> Answer:
        given = (pd_scores, pd_bboxes, anc_points, gt_labels, gt_bboxes, mask_gt)
        grid = None
        if self.rule is not None or gt_bboxes[..., 0].numel() * len(anc_points) > self.table:
            grid = self.grid(anc_points)
        if grid is None:
            return self.peer(*given, **extra)
        real = mask_gt.squeeze(-1).bool()
        image, slot = real.nonzero(as_tuple=True)
        targets = Targets(
            boxes=gt_bboxes[image, slot].float(),
            labels=gt_labels[image, slot, 0].long(),
            image=image,
            batch_size=len(pd_scores),
        )
        flat = pd_bboxes.reshape(-1, 4)
        if self.rule is None:
            pairs, soft = self._aligned(grid, targets, pd_scores.flatten(0, 1), flat)
        else:
            pairs, soft = self._by_rule(self.rule, grid, targets, pd_scores, pd_bboxes)
        if self.watch is not None:
            self.watch(pairs.assignment(quality=soft))
        return _answer(pairs, soft, slot, pd_scores, gt_bboxes)

    def _aligned(
        self, grid: Grid, targets: Targets, scores: Tensor, boxes: Tensor
    ) -> tuple[Pairs, Tensor]:
        """The pairs of the peer's rule and their soft labels (P,): scores (M, C), boxes (M, 4)."""
        peer = self.peer
        region = enlarged(targets.boxes, float(peer.stride_val))
        pairs = grid.inside(targets, region, margin=MARGIN)
        overlap = peer.iou_calculation(pairs.target_boxes().to(boxes), pick(boxes, pairs.anchor))
        overlap = overlap.to(boxes.dtype)
        metric = scores[pairs.anchor, pairs.labels()].pow(peer.alpha) * overlap.pow(peer.beta)
        order = torch.argsort(pairs.target * pairs.num_rows() + pairs.anchor)
        pairs, metric, overlap = pairs.select(order), pick(metric, order), pick(overlap, order)
        claimed = (rank(metric, pairs.target, largest=True) < peer.topk) & (metric > 0)
        rows = where(settle(pairs, claimed, overlap))
        if peer.topk2 != peer.topk:
            place = rank(pick(metric, rows), pick(pairs.target, rows), largest=True)
            rows = pick(rows, where(place < peer.topk2))
        pairs, metric, overlap = pairs.select(rows), pick(metric, rows), pick(overlap, rows)
        highest, best = pairs.max_per_target(metric), pairs.max_per_target(overlap)
        scale = pick(highest, pairs.target) + peer.eps
        return pairs, metric * pick(best, pairs.target) / scale

    def _by_rule(
        self, rule: Assigner, grid: Grid, targets: Targets, scores: Tensor, boxes: Tensor
    ) -> tuple[Pairs, Tensor]:
        """The pairs of another strategy, with its quality as the soft label."""
        logits = torch.logit(scores.float(), eps=1e-7)
        found = rule(grid, targets, Predictions.from_tensors(logits, boxes.float()))
        cure = "take a strategy whose pairs are hard or have a soft label"
        require_carried(found, CARRIES, rule, "Ultralytics", cure)
        pairs = Pairs(anchors=grid, targets=targets, anchor=found.anchor, target=found.target)
        return pairs, found.quality

    def grid(self, points: Tensor) -> Grid | None:
        """The grid of these points (N, 2): the middles of the cells of ``peer.stride``; None, with
        a warning, where they are not."""
        points = points.float()
        if self._grid is None or not _same(self._grid, points):
            strides = [float(stride) for stride in self.peer.stride]
            width, height = (points[-1] + strides[-1] / 2).tolist()
            sizes = [(round(height / s), round(width / s)) for s in strides]
            levels = [Level(stride=s, size=size) for s, size in zip(strides, sizes)]
            self._grid = Grid((round(height), round(width)), levels).to(points.device)
        if _same(self._grid, points):
            return self._grid
        warnings.warn(
            f"{len(points)} points are not the middles of the cells of strides {self.peer.stride}: "
            "Ultralytics' own assigner takes this batch",
            stacklevel=2,
        )
        return None


def _same(grid: Grid, points: Tensor) -> bool:
    same = len(grid) == len(points) and grid.device == points.device
    return same and torch.equal(grid.points(), points)


def _answer(pairs: Pairs, soft: Tensor, slot: Tensor, scores: Tensor, gt_bboxes: Tensor) -> Answer:
    """Labels, boxes, soft labels, foreground and object of every point, in the peer's shapes."""
    batch, points, classes = scores.shape
    rows, device = batch * points, scores.device
    labels = torch.zeros(rows, dtype=torch.int64, device=device)
    labels[pairs.anchor] = pairs.labels()
    boxes = torch.zeros(rows, 4, dtype=gt_bboxes.dtype, device=device)
    boxes[pairs.anchor] = pairs.target_boxes().to(boxes)
    goal = torch.zeros(rows, classes, dtype=soft.dtype, device=device)
    goal[pairs.anchor, pairs.labels()] = soft
    front = torch.zeros(rows, dtype=torch.bool, device=device)
    front[pairs.anchor] = True
    index = torch.zeros(rows, dtype=torch.int64, device=device)
    index[pairs.anchor] = pick(slot, pairs.target)
    flat = (labels, boxes, goal, front, index)
    found = tuple(value.view(batch, points, *value.shape[1:]) for value in flat)
    return found  # pyright: ignore[reportReturnType]


def rule_of(assigner: Any) -> TAL:
    """The peer's rule in Kedge's words, for its name and settings."""
    return TAL(
        k=assigner.topk,
        alpha=assigner.alpha,
        beta=assigner.beta,
        among="inside",
        min_side=float(assigner.stride_val),
        overlap="ciou",
        contest="candidates",
    )
