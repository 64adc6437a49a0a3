"""LADA: FCOS without ranges of size, assigned by what its points cost at the moment."""

from kedge.assign.lada import LADA as Rule
from kedge.coders import LTRBCoder
from kedge.detectors.point_detector import Parts, PointDetector
from kedge.losses import BoxOverlap, Centreness, DenseLoss, by_centreness
from kedge.select import NMS, Selection


class LADA(PointDetector):
    """FCOS's network and losses, assigned by lightweight anchor dynamic assignment.

    Source: Han et al., Sensors 2023, 23(14):6306. **Reported, not verified**: only the abstract
    could be read, which compares with FCOS in the same structure; that network and its losses are
    taken over here. See `kedge.assign.LADA`.
    """

    @classmethod
    def parts(cls, num_classes: int) -> Parts:
        return Parts(
            assign=Rule(),
            coder=LTRBCoder(),
            loss=DenseLoss(box=BoxOverlap(), weigh_boxes=by_centreness, quality=Centreness()),
            selection=Selection(suppress=NMS(threshold=0.6)),
            quality="centreness",
        )
