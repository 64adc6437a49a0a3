"""FCOS: every point inside an object answers for it, on the level that fits its size."""

from kedge.assign.fcos import FCOS as Rule
from kedge.coders import LTRBCoder
from kedge.detectors.point_detector import Parts, PointDetector
from kedge.detectors.torchvision_weights.convertible import Convertible
from kedge.detectors.torchvision_weights.fcos import FCOSConversion
from kedge.losses import BoxOverlap, Centreness, DenseLoss, by_centreness


class FCOS(Convertible, PointDetector):
    """FCOS in its improved version: centre sampling, GIoU, centre-ness beside the boxes.

    ``assign=kedge.FCOS()`` leaves centre sampling out, as first published. torchvision's is
    ``offset=0, assign=kedge.FCOS(centre_radius=1.5, strict=True)``, a box loss that all pairs share
    alike (``loss.weigh_boxes = None``) and ``Selection(score=0.2, suppress=NMS(threshold=0.6))``.

    Focal loss over all points and cross-entropy of centre-ness, both divided by the number of
    pairs; GIoU weighted by centre-ness, divided by its sum.

    Source: Tian et al., arXiv:1904.01355; defaults of the authors' improved version. Deviation: the
    threshold of scores holds for the ranking's, the root of class times centre-ness (torchvision);
    the authors' for the class's alone.
    """

    conversion = FCOSConversion()

    @classmethod
    def parts(cls, num_classes: int) -> Parts:
        return Parts(
            assign=Rule(centre_radius=1.5),
            coder=LTRBCoder(),
            loss=DenseLoss(box=BoxOverlap(), weigh_boxes=by_centreness, quality=Centreness()),
            quality="centreness",
        )
