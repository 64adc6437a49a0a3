"""GFL: classes that say the box's quality, and sides that are distributions."""

from kedge.assign.atss import ATSS
from kedge.coders import DistributionCoder
from kedge.detectors.point_detector import Parts, PointDetector
from kedge.losses import generalized_focal_loss


class GFL(PointDetector):
    """Generalized Focal Loss on the network of ATSS, without a quality branch.

    The loss is ``generalized_focal_loss``. ATSS measures with squares of 8 strides; boxes are
    written from the points.

    Source: Li et al., arXiv:2006.04388; the authors' code.
    """

    @classmethod
    def parts(cls, num_classes: int) -> Parts:
        return Parts(
            assign=ATSS(side=8.0),
            coder=DistributionCoder(reg_max=16),
            loss=generalized_focal_loss(),
        )
