"""LADA: FCOS without ranges of size, assigned by what its points cost at the moment."""

from dataclasses import replace

from kedge.assign.lada import LADA as Rule
from kedge.detectors.fcos import FCOS
from kedge.detectors.point_detector import Parts


class LADA(FCOS):
    """FCOS's network and losses, assigned by lightweight anchor dynamic assignment.

    Source: Han et al., Sensors 2023, 23(14):6306. **Reported, not verified**: only the abstract
    could be read, which compares with FCOS in the same structure; that network and its losses are
    taken over here. See `kedge.assign.LADA`.
    """

    @classmethod
    def parts(cls, num_classes: int) -> Parts:
        return replace(super().parts(num_classes), assign=Rule())
