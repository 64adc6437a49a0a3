"""learn_anchors: an MMDetection head learns the shapes of its anchors."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kedge.interop.around import Around
from kedge.interop.learned import LearnedAnchors, LearnedCells, shape_gradient
from kedge.interop.mmdetection.heads import detector_of, head_of
from kedge.interop.mmdetection.matching import plain
from kedge.types import Targets

HEADS = ("RetinaHead", "RetinaSepBNHead", "RPNHead", "SSDHead", "YOLOV3Head")
GENERATORS = ("AnchorGenerator", "SSDAnchorGenerator", "YOLOAnchorGenerator")
MODULE = "kedge_anchors"  # the name of the shapes in the head


def learn_anchors(model: nn.Module, *, warmup_steps: int = 200) -> LearnedAnchors:
    """Makes the anchor shapes of an MMDetection detector parameters of ``model``; of two stages
    those of the proposals.

    Call it before the optimiser is made, and after ``accelerate``, if that is wanted. The losses
    reach the shapes through the size residual; the assignment stays frozen. In the first
    ``warmup_steps`` steps (``model(..., mode="loss")``) the shapes follow the objects of the
    batches (``placed_warmup``); 0: none, they begin as they are. Shapes are pixels of the
    network's input.

    ``learned = learn_anchors(model)``, train, ``learned.finish()``: then the model is MMDetection's
    again, with the shapes that were learned in ``prior_generator.base_anchors``.

    Errors: ``ValueError`` for heads, generators and coders other than RetinaNet's, RPN's, SSD's and
    YOLOv3's, for a loss on decoded boxes (its gradient is another), for shapes of a cell that do
    not share a centre, and for a model that learns already.

    Source: Zhong et al., arXiv:1812.00469, section 3; the warm-up is ours.
    """
    detector = detector_of(model)
    head, learned = head_of(detector), LearnedAnchors("MMDetection")
    _require_known(head)
    generator, coder = head.prior_generator, head.bbox_coder
    strides = [(float(y), float(x)) for x, y in generator.strides]
    cells = LearnedCells(generator.base_anchors, generator.base_anchors, warmup_steps, strides)
    head.add_module(MODULE, cells.to(next(detector.parameters()).device))
    generator.base_anchors = CellBoxes(cells)
    learned.later(lambda: setattr(generator, "base_anchors", cells.after))
    learned.later(lambda: delattr(head, MODULE))
    learned.set(head, "bbox_coder", ShapeCoder(coder))
    learned.set(head.assigner, "assign", Frozen(head.assigner.assign))
    hook = WarmupHook(cells)
    learned.later(detector.register_forward_pre_hook(hook, with_kwargs=True).remove)
    learned.later(detector.register_forward_hook(forget).remove)
    learned.generators.append(cells)
    learned.replaced.append(f"{type(head).__name__} ({len(cells.learned)} shapes)")
    return learned


def _require_known(head: Any) -> None:
    kind, generator, coder = (
        type(part).__name__ for part in (head, head.prior_generator, getattr(head, "bbox_coder", 0))
    )
    if MODULE in dict(head.named_children()):
        raise ValueError(f"{kind} learns its anchors already: call the undo of the first")
    if kind not in HEADS:
        raise ValueError(f"{kind} is not understood: known are {', '.join(HEADS)}")
    if generator not in GENERATORS:
        raise ValueError(f"{generator} of {kind}: known are {', '.join(GENERATORS)}")
    if coder not in ("DeltaXYWHBBoxCoder", "YOLOBBoxCoder"):
        raise ValueError(f"{coder} of {kind}: known are DeltaXYWHBBoxCoder, YOLOBBoxCoder")
    if getattr(head, "reg_decoded_bbox", False):
        raise ValueError(f"the box loss of {kind} is on decoded boxes: only codes teach shapes")
    if getattr(head, "assigner", None) is None:
        raise ValueError(f"{kind} has no assigner: its configuration lacks train_cfg")


class CellBoxes(Sequence[Tensor]):
    """``base_anchors`` of a generator: (A, 4) of every level, by the shapes of the moment."""

    def __init__(self, cells: LearnedCells) -> None:
        self.cells = cells

    def __len__(self) -> int:
        return len(self.cells.counts)

    def __getitem__(self, level: Any) -> Any:
        return self.cells.boxes()[level]


class ShapeCoder(Around):
    """The codes of MMDetection's coder; a shape gets its gradient through log(g / a) alone.

    Decoded boxes carry none: proposals must not teach the shapes.
    """

    def encode(self, bboxes: Any, gt_bboxes: Any, *rest: Any) -> Tensor:
        """(P, 4): see MMDetection."""
        codes = self.peer.encode(bboxes.detach(), gt_bboxes, *rest)
        return codes + shape_gradient(plain(bboxes), getattr(self.peer, "stds", (1.0,) * 4))

    def decode(self, bboxes: Any, *rest: Any, **named: Any) -> Any:
        """See MMDetection."""
        return self.peer.decode(bboxes.detach(), *rest, **named)


class Frozen:
    """``assign`` of an assigner, through which no gradient flows."""

    def __init__(self, assign: Any) -> None:
        self.assign = assign

    @torch.no_grad()
    def __call__(self, *given: Any, **named: Any) -> Any:
        return self.assign(*given, **named)


class WarmupHook:
    """A hook before a detector's forward, which shows the warm-up the objects of a training
    batch."""

    def __init__(self, cells: LearnedCells) -> None:
        self.cells = cells

    def __call__(self, detector: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        values = dict(zip(("inputs", "data_samples", "mode"), given)) | named
        if values.get("mode") == "loss":
            self.cells.warm_up(lambda: _targets(values["data_samples"]))


def forget(detector: nn.Module, given: Any, out: Any) -> None:
    """A hook after a detector's forward: the samples that its head keeps hold the graph of the
    shapes, so that no copy could be made."""
    head_of(detector)._raw_positive_infos.clear()


def _targets(samples: Any) -> Targets:
    return Targets.from_list([{"boxes": plain(s.gt_instances.bboxes)} for s in samples])
