"""learn_anchors: Detectron2's RetinaNet and RPN learn the shapes of their anchors."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from kedge.interop.around import Around
from kedge.interop.detectron2.parts import generator_of, owner_of
from kedge.interop.learned import LearnedAnchors, LearnedCells, shape_gradient
from kedge.types import Targets


def learn_anchors(model: nn.Module, *, warmup_steps: int = 200) -> LearnedAnchors:
    """Makes the anchor shapes of Detectron2's RetinaNet or RPN parameters of ``model``.

    Call it before the optimiser is made. The losses reach the shapes through the size residual; the
    assignment stays frozen. In the first ``warmup_steps`` steps of training the shapes
    follow the objects of the batches (``placed_warmup``); 0: none, they begin as they are.
    Shapes are pixels of the network's input.

    ``learned = learn_anchors(model)``, train, ``learned.finish()``: then the model is Detectron2's
    again, with the shapes that were learned in ``anchor_generator.cell_anchors``.

    Errors: ``ValueError`` for models without RetinaNet or RPN, other generators and box transforms,
    a box loss on decoded boxes (its gradient is another), shapes of a cell that do not share a
    centre, and a model that learns already.

    Source: Zhong et al., arXiv:1812.00469, section 3; the warm-up is ours.
    """
    owner, learned = owner_of(model), LearnedAnchors("Detectron2")
    holder = next((part for part in model.modules() if hasattr(part, "backbone")), None)
    if holder is None:
        raise ValueError(f"{type(model).__name__} has no backbone: give the whole detector")
    generator, transform = generator_of(owner), owner.box2box_transform
    if isinstance(generator.cell_anchors, CellAnchors):
        raise ValueError(f"{type(owner).__name__} learns its anchors already: call its undo")
    if type(transform).__name__ != "Box2BoxTransform":
        raise ValueError(f"{type(transform).__name__} is not understood: Box2BoxTransform is")
    if owner.box_reg_loss_type != "smooth_l1":
        raise ValueError(f"the box loss is {owner.box_reg_loss_type}: only smooth_l1, on codes, "
                         "teaches shapes")  # fmt: skip
    peer = generator.cell_anchors
    strides = [(float(stride), float(stride)) for stride in generator.strides]
    cells = CellAnchors(list(peer), peer, warmup_steps, strides, float(generator.offset))
    generator.cell_anchors = cells.to(next(iter(peer)).device)
    learned.later(lambda: setattr(generator, "cell_anchors", cells.after))
    learned.set(owner, "box2box_transform", ShapeTransform(transform))
    learned.later(holder.register_forward_pre_hook(WarmupHook(cells)).remove)
    learned.generators.append(cells)
    learned.replaced.append(f"{type(owner).__name__} ({len(cells.learned)} shapes)")
    return learned


class CellAnchors(LearnedCells):
    """In the place of a generator's ``cell_anchors``, whose buffers it reads: the boxes by the
    shapes of the moment."""

    def __len__(self) -> int:
        return len(self.counts)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.boxes())

    def named_buffers(self, *given: Any, **named: Any) -> Iterator[tuple[str, Tensor]]:
        """The boxes (A, 4) of every level."""
        return ((str(number), part) for number, part in enumerate(self.boxes()))

    def as_peer(self, boxes: list[Tensor]) -> Any:
        return type(self.__dict__["after"])(boxes)


class ShapeTransform(Around):
    """The codes of Detectron2's transform; a shape gets its gradient through log(g / a) alone.

    Boxes that it makes carry none: proposals must not teach the shapes.
    """

    def get_deltas(self, src_boxes: Tensor, target_boxes: Tensor) -> Tensor:
        """(P, 4): see Detectron2."""
        deltas = self.peer.get_deltas(src_boxes.detach(), target_boxes)
        return deltas + shape_gradient(src_boxes, [1 / float(w) for w in self.peer.weights])

    def apply_deltas(self, deltas: Tensor, boxes: Tensor) -> Tensor:
        """See Detectron2."""
        return self.peer.apply_deltas(deltas, boxes.detach())


class WarmupHook:
    """A hook before a detector's forward, which shows the warm-up the objects of a training
    batch."""

    def __init__(self, cells: LearnedCells) -> None:
        self.cells = cells

    def __call__(self, detector: nn.Module, given: tuple[Any, ...]) -> None:
        if detector.training and given:
            self.cells.warm_up(lambda: _targets(given[0], self.cells.learned.shapes))


def _targets(batched_inputs: Any, like: Tensor) -> Targets:
    boxes = [image["instances"].gt_boxes.tensor.to(like) for image in batched_inputs]
    return Targets.from_list([{"boxes": part} for part in boxes])
