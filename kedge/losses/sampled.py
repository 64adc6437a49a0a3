"""The losses of the stages that sample: region proposal networks and region heads, and SSD's."""

from kedge.losses.box_terms import CodeL1
from kedge.losses.class_terms import ClassTerm, SoftmaxCrossEntropy
from kedge.losses.dense import DenseLoss
from kedge.losses.normalise import per_sampled


def sampled_loss(classes: ClassTerm, beta: float = 1 / 9, weight: float = 1.0) -> DenseLoss:
    """Mean class loss over the sample; smooth L1 of its positives, divided by the whole sample.

    ``weight``: of both.

    Source: Ren et al., arXiv:1506.01497, eq. 1; ``beta`` 1/9 is torchvision's, 1 Fast R-CNN's.
    """
    return DenseLoss(
        classes=classes, box=CodeL1(beta=beta), normalise=per_sampled, class_weight=weight,
        box_weight=weight,
    )  # fmt: skip


def multibox_loss() -> DenseLoss:
    """SSD's: cross-entropy over classes and background, smooth L1 with beta 1; both are divided by
    the positives of the batch, at least 1.

    Source: Liu et al., arXiv:1512.02325, eq. 1, with alpha 1.
    """
    return DenseLoss(classes=SoftmaxCrossEntropy(), box=CodeL1(beta=1.0))
