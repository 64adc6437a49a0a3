"""What the sums of a detector's losses are divided by: a scalar of assignment and sample."""

from torch import Tensor

from kedge.sample import Sample
from kedge.types import Assignment


def per_positive(assignment: Assignment, sample: Sample, num_classes: int) -> Tensor:
    """The sum of the pairs' weights, at least 1 (RetinaNet, SSD)."""
    return assignment.weight[sample.positive].sum().clamp(min=1)


def per_quality(assignment: Assignment, sample: Sample, num_classes: int) -> Tensor:
    """The sum of the pairs' weights times qualities, at least 1 (TOOD, RTMDet)."""
    weighted = assignment.weight * assignment.quality
    return weighted[sample.positive].sum().clamp(min=1)


def per_image(assignment: Assignment, sample: Sample, num_classes: int) -> Tensor:
    """The sum of the pairs' weights, at least one for each image (YOLOv2)."""
    count = assignment.weight[sample.positive].sum()
    return count.clamp(min=assignment.targets.batch_size)


def per_sampled(assignment: Assignment, sample: Sample, num_classes: int) -> Tensor:
    """All anchors sampled, positive or not, at least 1 (RPN, Fast R-CNN)."""
    return assignment.weight.new_tensor(float(len(sample))).clamp(min=1)


def per_element(assignment: Assignment, sample: Sample, num_classes: int) -> Tensor:
    """All sampled anchors times classes, at least 1 (GHM-C)."""
    return assignment.weight.new_tensor(float(len(sample) * num_classes)).clamp(min=1)
