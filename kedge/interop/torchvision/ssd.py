"""The seam of torchvision's SSD and SSDLite, which compares all boxes in the middle of forward."""

from typing import Any

from torch import Tensor, nn
from torchvision.models.detection._utils import SSDMatcher
from torchvision.models.detection.ssd import SSD

from kedge.assign.ssd_match import SSDMatch
from kedge.interop.torchvision.dense import kedge_losses
from kedge.interop.torchvision.seam import Seam, delta_coder_of, pack, unknown_matcher
from kedge.interop.undo import Undo
from kedge.losses import Loss
from kedge.sample import HardNegatives
from kedge.scores import Softmax
from kedge.types import Assigner, Predictions, Targets

ASIDE = "kedge_boxes"  # a target's key while its boxes wait
MANY = 48  # objects in a batch from which on they do: below, the table is faster


class SSDLoss(Seam):
    """``SSD.compute_loss``, with the boxes set aside while ``forward`` would compare them all."""

    peer = SSD
    method = "compute_loss"
    arguments = ("targets", "head_outputs", "anchors", "matched_idxs")
    carries = frozenset({"outside"})

    @classmethod
    def put(
        cls, module: Any, undo: Undo, rule: Assigner | None = None, loss: Loss | None = None
    ) -> "SSDLoss":
        seam = super().put(module, undo, rule, loss)
        aside = SetAside(seam)
        undo.later(module.transform.register_forward_hook(aside).remove)
        return seam

    def spares(self, count: int) -> bool:
        """Whether a batch of so many objects is left to torchvision."""
        return self.own and self.loss is None and self.table >= 0 and count < MANY

    def own_rule(self) -> SSDMatch:
        matcher = self.module.proposal_matcher
        if type(matcher) is not SSDMatcher:
            raise unknown_matcher(matcher)
        return SSDMatch(positive=matcher.high_threshold)

    def __call__(
        self,
        targets: list[Any],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        aside = any(ASIDE in target for target in targets)
        if not aside and self.own and self.loss is None:
            return self.theirs(targets, head_outputs, anchors, matched_idxs)
        targets = [_given_back(target) for target in targets]
        boxes = self.anchors(anchors[0])
        if self.own and self.loss is None:
            index = self.assign(boxes, pack(targets)).dense()
            return self.theirs(targets, head_outputs, anchors, list(index))
        predictions = Predictions.from_dense(
            head_outputs["cls_logits"].roll(-1, dims=-1),  # Kedge has background last
            head_outputs["bbox_regression"],
            boxes,
            delta_coder_of(self.module.box_coder),
            classes=Softmax(background=True),
        )
        objects = _from_zero(pack(targets))
        if self.loss is not None:
            sample = HardNegatives(ratio=self.module.neg_to_pos_ratio, empty_image=0)
            return kedge_losses(self, self.loss, predictions, objects, sample)
        index = self.assign(predictions, objects).dense()
        return self.theirs(targets, head_outputs, anchors, list(index))


class SetAside:
    """A forward hook of SSD's transform: in training, the boxes of a batch that ``seam`` matches
    wait under another key, so that ``forward`` finds nothing to compare.

    ``forward`` would also refuse boxes without area, so this does.
    """

    def __init__(self, seam: SSDLoss) -> None:
        self.seam = seam

    def __call__(self, transform: nn.Module, given: Any, out: tuple[Any, Any]) -> tuple[Any, Any]:
        images, targets = out
        if not transform.training or targets is None:
            return out
        if self.seam.spares(sum(len(target["boxes"]) for target in targets)):
            return out
        for number, target in enumerate(targets):
            bad = (target["boxes"][:, 2:] <= target["boxes"][:, :2]).any(1)
            if bool(bad.any()):
                row = int(bad.nonzero()[0])
                raise ValueError(
                    f"target {number}: box {row} has no width or height: "
                    f"{target['boxes'][row].tolist()}"
                )
        return images, [{**t, ASIDE: t["boxes"], "boxes": t["boxes"][:0]} for t in targets]


def _given_back(target: dict[str, Tensor]) -> dict[str, Tensor]:
    out = dict(target)
    return out | {"boxes": out.pop(ASIDE, out["boxes"])}


def _from_zero(targets: Targets) -> Targets:
    """The same objects with labels from 0: torchvision's SSD keeps 0 for background."""
    if len(targets) and int(targets.labels.min()) < 1:
        raise ValueError("torchvision's SSD has background as class 0: labels begin at 1")
    labels = targets.labels - 1
    return Targets(
        boxes=targets.boxes, labels=labels, image=targets.image, batch_size=targets.batch_size
    )
