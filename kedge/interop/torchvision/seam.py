"""Seam: what stands in the place of one method of a torchvision module."""

import inspect
from collections.abc import Sequence, Set
from typing import Any, ClassVar, Self

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder, Matcher

from kedge.anchors.boxes import Boxes
from kedge.anchors.recognise import GridReader, ListedGrid
from kedge.assign.max_iou import MaxIoU
from kedge.coders.delta import DeltaCoder
from kedge.interop.carried import Carried, require_carried
from kedge.interop.undo import Undo
from kedge.losses import Loss
from kedge.types import Assigner, Assignment, Predictions, Targets


class Seam:
    """One method of a torchvision module, matched by Kedge: an attribute of the instance.

    ``rule``: the strategy; ``own``: it is torchvision's own rule, so that a batch of few objects
    can be left to torchvision's own method. ``loss``: Kedge's loss, or None for torchvision's.
    A seam is copied, saved and loaded with its module.
    """

    peer: ClassVar[type[nn.Module]]
    method: ClassVar[str]
    arguments: ClassVar[tuple[str, ...]]
    carries: ClassVar[Set[Carried]] = frozenset({"ignored", "outside"})
    kind: ClassVar[type[ListedGrid]] = ListedGrid
    table: ClassVar[int] = 400_000  # anchors x objects up to which theirs is faster: measured

    def __init__(self, module: Any, rule: Assigner | None, loss: Loss | None) -> None:
        self.module, self.own, self.loss = module, rule is None, loss
        self.rule: Assigner = self.own_rule() if rule is None else rule
        self.reader = GridReader(self.kind)

    @classmethod
    def put(
        cls, module: Any, undo: Undo, rule: Assigner | None = None, loss: Loss | None = None
    ) -> Self:
        """Takes the place of the method of ``module``, until ``undo``; errors: ``ValueError``."""
        cls.check(module)
        seam = cls(module, rule, loss)
        undo.set(module, cls.method, seam)
        undo.replaced.append(str(seam))
        return seam

    @classmethod
    def check(cls, module: nn.Module) -> None:
        """``ValueError`` unless the method is torchvision's, and as this seam knows it."""
        name, method = f"{cls.peer.__name__}.{cls.method}", getattr(cls.peer, cls.method, None)
        if cls.method in vars(module):
            raise ValueError(f"{name} is replaced already: call the undo of the first accelerate")
        if method is None or tuple(inspect.signature(method).parameters)[1:] != cls.arguments:
            raise ValueError(
                f"{name} of torchvision {torchvision.__version__} is not the one that Kedge knows "
                f"(self, {', '.join(cls.arguments)}): nothing was replaced"
            )
        if getattr(type(module), cls.method) is not method:
            raise ValueError(
                f"{type(module).__name__} has a {cls.method} of its own, which Kedge does not know"
            )

    def own_rule(self) -> Assigner:
        """torchvision's rule in Kedge's words."""
        return max_iou_of(self.module.proposal_matcher)

    def __str__(self) -> str:
        text = "" if self.loss is None else ", Kedge's loss"
        return f"{type(self.module).__name__}.{self.method} ({type(self.rule).__name__}{text})"

    def theirs(self, *arguments: Any) -> Any:
        """The answer of the method that was replaced."""
        return getattr(type(self.module), self.method)(self.module, *arguments)

    def few(self, boxes: Sequence[Tensor], anchors: Sequence[Tensor]) -> bool:
        """Whether torchvision's own method is to take this batch."""
        table = sum(len(a) * len(b) for a, b in zip(anchors, boxes))
        return self.own and self.loss is None and table <= self.table

    def anchors(self, boxes: Tensor, per_level: Sequence[int] | None = None) -> ListedGrid | Boxes:
        """The anchors as a grid, or where they are none (half precision rounds them) as a list."""
        learned = getattr(self.module.anchor_generator, "grid", None)  # of learn_anchors
        if learned is not None:
            return learned.on(boxes)
        return self.reader.or_list(boxes, per_level)

    @torch.no_grad()
    def assign(self, known: Predictions | ListedGrid | Boxes, targets: Targets) -> Assignment:
        """The assignment of a batch, of which nothing gets lost in torchvision's loss.

        ``known``: predictions on their anchors, or where there are none the anchors.
        """
        if isinstance(known, Predictions):
            assert known.anchors is not None
            found = self.rule(known.anchors, targets, known.detach())
        else:
            found = self.rule(known, targets)
        if not self.own and self.loss is None:
            cure = "accelerate(model, strategy=..., loss='kedge') trains RetinaNet, FCOS and SSD"
            peer = f"torchvision's {type(self.module).__name__}"
            require_carried(found, self.carries, self.rule, peer, f"{cure} with Kedge's loss")
        return found


def pack(targets: Sequence[dict[str, Tensor]]) -> Targets:
    """torchvision's targets; it has no crowds, so ``iscrowd`` is not read."""
    names = [name for name in ("boxes", "labels") if all(name in t for t in targets)]
    return Targets.from_list([{name: t[name] for name in names} for t in targets])


def max_iou_of(matcher: Matcher) -> MaxIoU:
    """The rule of a ``Matcher``."""
    if type(matcher) is not Matcher:
        raise unknown_matcher(matcher)
    return MaxIoU(
        positive=matcher.high_threshold,
        negative=matcher.low_threshold,
        low_quality="own" if matcher.allow_low_quality_matches else "none",
    )


def unknown_matcher(matcher: object) -> ValueError:
    """The error for a matcher that is not torchvision's."""
    return ValueError(f"the matcher is a {type(matcher).__name__}, which Kedge does not know")


def delta_coder_of(coder: BoxCoder) -> DeltaCoder:
    """The coder of a ``BoxCoder``."""
    x, y, w, h = (1 / weight for weight in coder.weights)
    return DeltaCoder(stds=(x, y, w, h), clamp=(None, coder.bbox_xform_clip))
