"""Dual: one head learns from many anchors an object, one from a single one, and detects alone."""

from torch import Tensor, nn

from kedge.assign.tal import TAL
from kedge.coders import LTRBCoder
from kedge.detectors.dense import Maps
from kedge.detectors.images import check_labels, pad_to_multiple
from kedge.detectors.point_detector import Parts, PointDetector
from kedge.detectors.stage import Outcome, Stage
from kedge.losses import BoxOverlap, DenseLoss, QualityFocal, by_quality, per_quality
from kedge.select import KeepAll, Selection
from kedge.types import Assigner, Targets

FIRST, LAST = 0.8, 0.1  # what the losses of many weigh at the beginning and the end of a run


class Dual(PointDetector):
    """Points with two heads of the same form, of which one needs no suppression of duplicates.

    Both stand on one pyramid. The head of ``many`` anchors an object, TAL's ten, teaches pyramid
    and backbone; the other, of one anchor an object, learns on their features as they are (its
    gradient ends there) and detects: what it says above a score is what is there, without NMS.

    The losses of many, ``many_classification`` and ``many_box``, weigh w, the others 1 - w: w falls
    from 0.8 to 0.1 in the course of the run. Quality focal loss towards the alignment, twice GIoU
    weighted by it, both divided by its sum, as TOOD's.

    ``assign`` is the strategy of the head that detects; ``many``, an attribute, that of the other.

    Source: Wang et al., arXiv:2405.14458 (YOLOv10), for both heads; Ultralytics 8.4 (YOLO26) for
    the schedule and for TAL with k 7 and one kept. Deviations: an FCOS pyramid and head, TOOD's
    losses; the weight follows the run, not its whole epochs.
    """

    many: Assigner = TAL.ultralytics()

    @classmethod
    def parts(cls, num_classes: int) -> Parts:
        return Parts(
            depth=2,
            assign=TAL.one_to_one(),
            coder=LTRBCoder(activation="exp"),
            start=1.0,
            loss=DenseLoss(
                classes=QualityFocal(), class_normalise=per_quality,
                box=BoxOverlap(), box_weight=2.0, weigh_boxes=by_quality,
            ),
            selection=Selection(suppress=KeepAll()),
        )  # fmt: skip

    def make_layers(self, own: Parts, width: int, depth: int) -> nn.Module:
        heads = {name: super(Dual, self).make_layers(own, width, depth) for name in ("one", "many")}
        return nn.ModuleDict(heads)

    def predict_maps(self, images: Tensor) -> Maps:
        return self._said("one", self.pyramid(self.backbone(images)))

    def losses(
        self,
        images: Tensor,
        targets: Targets,
        *,
        sizes: Tensor | None = None,
        assign: Assigner | None = None,
    ) -> Outcome:
        """The losses of both heads, the assignment of the one that detects: see ``Detector``."""
        del sizes  # anchors stand in the padding too; nothing there answers
        check_labels(targets, self.num_classes)
        images = pad_to_multiple(images, self.multiple)
        size = (images.shape[-2], images.shape[-1])
        maps = self.pyramid(self.backbone(images))
        many = self.read(self._said("many", maps), size)
        one = self.read(self._said("one", [x.detach() for x in maps]), size)
        taught = Stage.of(self, self.progress, self.many)(many, targets).losses
        found = Stage.of(self, self.progress, assign)(one, targets)
        w = FIRST + (LAST - FIRST) * self.progress
        terms = {name: (1 - w) * loss for name, loss in found.losses.items()}
        terms |= {f"many_{name}": w * loss for name, loss in taught.items()}
        return Outcome(terms, found.assignment, found.background_share)

    def _said(self, head: str, maps: list[Tensor]) -> Maps:
        logits, codes, _ = self.layers.get_submodule(head)(maps)
        return Maps(logits=logits, codes=codes)
