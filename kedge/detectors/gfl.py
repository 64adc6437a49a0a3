"""GFL: classes that say the box's quality, and sides that are distributions."""

from kedge.assign.atss import ATSS
from kedge.coders import DistributionCoder
from kedge.detectors.point_detector import Parts, PointDetector
from kedge.losses import BoxOverlap, DenseLoss, Distribution, QualityFocal, by_score


class GFL(PointDetector):
    """Generalized Focal Loss on the network of ATSS, without a quality branch.

    Quality focal loss, divided by the number of pairs; twice GIoU and a quarter of the distribution
    focal loss, weighted by the largest class score, divided by its sum. ATSS measures with squares
    of 8 strides; boxes are written from the points.

    Source: Li et al., arXiv:2006.04388; the authors' code.
    """

    @classmethod
    def parts(cls, num_classes: int) -> Parts:
        return Parts(
            assign=ATSS(side=8.0),
            coder=DistributionCoder(reg_max=16),
            loss=DenseLoss(
                classes=QualityFocal(), rescore=True,
                box=Distribution(BoxOverlap()), weigh_boxes=by_score,
            ),
        )  # fmt: skip
