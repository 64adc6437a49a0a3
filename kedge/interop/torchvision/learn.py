"""learn_anchors: torchvision's RetinaNet, SSD and R-CNNs learn the shapes of their anchors."""

from typing import Any

from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.models.detection.ssd import SSD

from kedge.coders.delta import DeltaCoder
from kedge.counted import count
from kedge.design.placed_warmup import placed_warmup
from kedge.detectors.object_warmup import ObjectWarmup
from kedge.interop.learned import LearnedAnchors, warm_up
from kedge.interop.torchvision.accelerate import accelerate
from kedge.interop.torchvision.generators import (
    LearnedAnchorGenerator,
    LearnedDefaultBoxGenerator,
    LearnedGenerator,
)
from kedge.interop.torchvision.seam import pack


class ShapeCoder(BoxCoder):
    """torchvision's codes, in which an anchor's size gets its gradient through log(g / a) alone.

    Decoded boxes carry none: proposals must not teach the shapes.

    Source: Zhong et al., arXiv:1812.00469 (Anchor Box Optimization), as ``DeltaCoder`` has it.
    """

    def encode_single(self, reference_boxes: Tensor, proposals: Tensor) -> Tensor:
        x, y, w, h = (1 / weight for weight in self.weights)
        return DeltaCoder(stds=(x, y, w, h)).encode(proposals, reference_boxes)

    def decode_single(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        return super().decode_single(rel_codes, boxes.detach())


class WarmupHook:
    """A forward hook of a detector's transform: in training it shows the objects of the batch, as
    the network sees them, to the warm-up of the shapes, before the anchors are made.

    Its levels are known from the first forward pass on, so the first batch passes by."""

    def __init__(self, generator: LearnedGenerator, warmup: ObjectWarmup) -> None:
        self.generator, self.warmup = generator, warmup

    def __call__(self, transform: nn.Module, given: Any, out: tuple[Any, Any]) -> None:
        targets = out[1]
        if transform.training and targets is not None and self.generator.grid is not None:
            warm_up(self.warmup, self.generator.learned, lambda: pack(targets))


def learn_anchors(model: nn.Module, *, warmup_steps: int = 200) -> LearnedAnchors:
    """Makes the anchor shapes of torchvision's RetinaNet, SSD or R-CNN parameters of ``model``.

    Call it before the optimiser is made. The matching is Kedge's (``accelerate``). The losses reach
    the shapes through the size residual; the assignment stays frozen. In the first ``warmup_steps``
    steps of training the shapes follow the objects of the batches (``placed_warmup``); 0: none,
    they begin as they are. Shapes are pixels of the network's input.

    ``learned = learn_anchors(model)``, train, ``learned.finish()``: then the model is torchvision's
    again, with the shapes that were learned.

    Errors: ``ValueError`` for a model without such anchors, for shapes of a cell that do not share
    a centre, for a box loss on decoded boxes (its gradient is another), and as ``accelerate``.

    Source: Zhong et al., arXiv:1812.00469, section 3; the warm-up is ours.
    """
    learned = LearnedAnchors("torchvision")
    try:
        for module in list(model.modules()):
            if hasattr(module, "transform"):
                _learn(module, learned, warmup_steps)
        if not learned.generators:
            raise ValueError(
                f"{type(model).__name__} holds no RetinaNet, SSD or R-CNN of torchvision with "
                "anchors of its own kind"
            )
        learned.later(accelerate(model))
    except Exception:
        learned()
        raise
    return learned


def _learn(detector: Any, learned: LearnedAnchors, warmup_steps: int) -> None:
    """Puts a generator, a coder and the warm-up into ``detector``, if it is one of those."""
    owner, holder = _parts(detector)
    if owner is None:
        return
    peer = owner.anchor_generator
    if type(peer) is AnchorGenerator:
        generator: LearnedGenerator = LearnedAnchorGenerator(peer)
    elif type(peer) is DefaultBoxGenerator:
        generator = LearnedDefaultBoxGenerator(peer, detector.transform.fixed_size)
    else:
        raise ValueError(f"{type(peer).__name__} is no generator that Kedge knows")
    if getattr(holder, "_loss_type", "l1") not in ("l1", "smooth_l1"):
        raise ValueError(f"the box loss is {holder._loss_type}: only losses on codes teach shapes")
    device = next(detector.parameters()).device
    owner.anchor_generator = generator.to(device)
    learned.later(lambda: setattr(owner, "anchor_generator", peer))
    coder = holder.box_coder
    learned.set(holder, "box_coder", ShapeCoder(coder.weights, coder.bbox_xform_clip))
    if warmup_steps:
        generator.warmup = placed_warmup(generator.learned, warmup_steps).to(device)
        hook = WarmupHook(generator, generator.warmup)
        learned.later(detector.transform.register_forward_hook(hook, prepend=True).remove)
    learned.generators.append(generator)
    learned.replaced.append(f"{type(detector).__name__} ({count(len(generator.learned), 'shape')})")


def _parts(detector: Any) -> tuple[Any, Any]:
    """What has the anchors, and what has the coder of their boxes; None for other models."""
    if isinstance(detector, RetinaNet):
        return detector, detector.head.regression_head
    if isinstance(detector, SSD):
        return detector, detector
    network = getattr(detector, "rpn", None)
    if isinstance(network, RegionProposalNetwork):
        return network, network
    return None, None
