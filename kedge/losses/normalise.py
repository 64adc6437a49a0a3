"""What the sums of a detector's losses are divided by: a scalar of assignment and sample.

Of several processes that train together it is the count of all of them, divided by their number:
see ``kedge.ranks``.
"""

from torch import Tensor

from kedge.ranks import over_ranks, per_rank
from kedge.sample import Sample
from kedge.types import Assignment


def per_positive(assignment: Assignment, sample: Sample, num_classes: int) -> Tensor:
    """The sum of the pairs' weights, at least 1 (RetinaNet, SSD)."""
    return per_rank(assignment.weight[sample.positive].sum(), 1)


def per_quality(assignment: Assignment, sample: Sample, num_classes: int) -> Tensor:
    """The sum of the pairs' weights times qualities, at least 1 (TOOD, RTMDet)."""
    weighted = assignment.weight * assignment.quality
    return per_rank(weighted[sample.positive].sum(), 1)


def per_image(assignment: Assignment, sample: Sample, num_classes: int) -> Tensor:
    """The sum of the pairs' weights, at least one for each image (YOLOv2)."""
    count = assignment.weight[sample.positive].sum()
    images = over_ranks(count.new_tensor(float(assignment.targets.batch_size)))
    return per_rank(count, images)


def per_sampled(assignment: Assignment, sample: Sample, num_classes: int) -> Tensor:
    """All anchors sampled, positive or not, at least 1 (RPN, Fast R-CNN)."""
    return per_rank(assignment.weight.new_tensor(float(len(sample))), 1)


def per_element(assignment: Assignment, sample: Sample, num_classes: int) -> Tensor:
    """All sampled anchors times classes, at least 1 (GHM-C)."""
    return per_rank(assignment.weight.new_tensor(float(len(sample) * num_classes)), 1)
