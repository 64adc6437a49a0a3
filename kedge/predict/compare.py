"""Whether an exported file finds what its detector finds."""

from dataclasses import dataclass

from kedge.counted import count
from kedge.data import Data
from kedge.detectors.detector import Detector
from kedge.export.opened import Exported
from kedge.predict.detect import detect


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of so many ``images`` the ``differing`` ones, in the number or the classes of boxes; in the
    others the ``farthest`` corner from the detector's, in pixels, over ``boxes``."""

    images: int
    differing: int
    boxes: int
    farthest: float

    def __str__(self) -> str:
        if self.boxes == 0 and self.differing == 0:
            return f"as the detector, it finds nothing in {count(self.images, 'image')}"
        said = f"{count(self.boxes, 'box', 'boxes')} in {count(self.images, 'image')}"
        said += f" as the detector's, within {self.farthest:.2g} px"
        if self.differing:
            said += f", but other ones in {count(self.differing, 'image')}"
        return said


def compared(detector: Detector, exported: Exported, data: Data) -> Agreement:
    """The agreement of both on the images of a data set, letterboxed as the file wants them."""
    mine = detect(detector, data, exported.input_size)
    others = detect(exported, data, exported.input_size)
    differing, boxes, farthest = 0, 0, 0.0
    for one, other in zip(mine, others, strict=True):
        if one["labels"].tolist() != other["labels"].tolist():
            differing += 1
        elif len(one["boxes"]):
            boxes += len(one["boxes"])
            farthest = max(farthest, float((one["boxes"] - other["boxes"]).abs().max()))
    return Agreement(images=len(mine), differing=differing, boxes=boxes, farthest=farthest)
