"""YOLOv2's loss: darknet's squared errors, as terms."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kedge.losses.box_terms import CodeSquares
from kedge.losses.class_terms import ClassTerm, SoftmaxCrossEntropy
from kedge.losses.dense import DenseLoss
from kedge.losses.normalise import per_image
from kedge.losses.objectness import Objectness, squared
from kedge.ranks import over_ranks
from kedge.types import Assignment, Predictions


class AnchorPull(nn.Module):
    """During the first ``images`` images every prediction without an object is drawn to its own
    anchor, with ``weight``: half the squared distance of its codes. Counts the images it has seen.

    Source: darknet ``src/region_layer.c`` (0.01 and 12,800).
    """

    images_seen: Tensor

    def __init__(self, *, images: int = 12_800, weight: float = 0.01) -> None:
        super().__init__()
        self.images, self.weight = images, weight
        self.register_buffer("images_seen", torch.zeros((), dtype=torch.int64))

    def forward(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        """A sum, 0 once the images are over."""
        active = int(self.images_seen) < self.images
        if self.training:
            self.images_seen += over_ranks(
                self.images_seen.new_tensor(assignment.targets.batch_size)
            )
        free = assignment.free().nonzero()[:, 0]
        anchors, coder = predictions.anchors, predictions.coder
        if not active or anchors is None or coder is None:
            return predictions.codes.sum() * 0
        boxes = anchors.boxes(free)
        goal = coder.encode(boxes, boxes, anchors.stride(free))
        off = coder.residual(predictions.codes_at(free), goal)
        return self.weight * off.square().sum() / 2


def yolov2_loss(
    *,
    coordinates: float = 1.0,
    objectness: float = 5.0,
    background: float = 1.0,
    classes: float = 1.0,
    rescore: bool = True,
    confidence: Callable[[Tensor, Tensor], Tensor] = squared,
    class_term: ClassTerm | None = None,
    pull_images: int = 0,
) -> DenseLoss:
    """``box``, ``objectness`` and ``classification``, and ``pull`` with ``pull_images``; the
    defaults are darknet's weights.

    box: half the squared error of (sigma(tx), sigma(ty), tw, th), times 2 - w h (the object's share
    of the image). The target of tw is log(g / a) with the anchor's size in the graph: the shapes
    receive the gradient of delta + log a - log g. objectness: see ``Objectness``; ``rescore`` as
    there. classes: softmax cross-entropy at the pairs. All sums are divided by the same number, the
    sum of the weights, but at least one per image: the balance of the terms is darknet's, and
    images without objects still teach what background is.

    Source: darknet ``src/region_layer.c``, arXiv:1612.08242. Deviations: darknet's sums are per
    image (it divides by the batch through the learning rate); ``pull_images`` is off by default
    (darknet: 12,800).
    """
    return DenseLoss(
        classes=SoftmaxCrossEntropy(background=False) if class_term is None else class_term,
        box=CodeSquares(),
        objectness=Objectness(
            positive=objectness, background=background, rescore=rescore, confidence=confidence
        ),
        normalise=per_image,
        class_weight=classes,
        box_weight=coordinates,
        extra={"pull": AnchorPull(images=pull_images)} if pull_images else None,
    )
