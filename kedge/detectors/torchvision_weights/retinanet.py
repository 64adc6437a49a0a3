"""torchvision's RetinaNet: retinanet_resnet50_fpn and _v2, and models of the same class."""

import re
from typing import Any

from kedge.anchors import preset
from kedge.assign.max_iou import MaxIoU
from kedge.detectors.torchvision_weights.convertible import Conversion
from kedge.detectors.torchvision_weights.names import Rename, renames
from kedge.detectors.torchvision_weights.parts import (
    Facts,
    backbone_facts,
    check_groups,
    dense_selection,
    make_backbone,
    matcher_facts,
    resize_facts,
)
from kedge.detectors.torchvision_weights.source import Source
from kedge.losses import DenseLoss, Focal
from kedge.losses.by_name import box_term

_HEADS = {"classification_head": "classes", "regression_head": "boxes"}


def _of_block(old: re.Match[str]) -> str:
    """A convolution by the block that it stands in now: every second layer was one."""
    return f"{old[1]}.{int(old[2]) // 2}.0.{old[3]}"


class RetinaNetConversion(Conversion[Any]):
    """Every output is a class, background's too: labels are the same.

    ``norm`` (v2) is group norm in the heads and GIoU for boxes. Of a model the box loss and the
    matching thresholds are taken over.
    """

    first_label = 0
    old = ((re.compile(r"^(head\.\w+_head\.conv)\.(\d+)\.(weight|bias)$"), _of_block),)

    def read(self, source: Source) -> Facts:
        outputs, width, *_ = source.shape("head.regression_head.bbox_reg.weight")
        classes = source.shape("head.classification_head.cls_logits.weight")[0]
        norm = source.has("head.classification_head.conv.0.1.weight")
        check_groups(source, width)
        published = [level.shapes for level in preset("retinanet_torchvision").levels]
        loss = source.setting("head.regression_head._loss_type", "giou" if norm else "l1")
        return {
            "num_classes": classes // (outputs // 4),
            "shapes": source.shapes("anchor_generator", published),
            "width": width,
            "depth": source.count("head.classification_head.conv.{}.0.weight"),
            "norm": norm,
            "from_c5": source.shape("backbone.fpn.extra_blocks.p6.weight")[1] != width,
            "backbone": backbone_facts(source),
            "resize": resize_facts(source),
            "assign": matcher_facts(source, "proposal_matcher", 0.5, 0.4),
            "loss": {"name": "l1", "beta": 1.0} if loss == "smooth_l1" else loss,
            "selections": {"detections": dense_selection(source, 0.05, 0.5, 1000, 300)},
        }

    def make(self, detector: type[Any], facts: Facts) -> Any:
        own = ("num_classes", "shapes", "width", "depth", "norm", "from_c5")
        return detector(
            backbone=make_backbone(facts["backbone"]),
            assign=MaxIoU(**facts["assign"]),
            loss=DenseLoss(classes=Focal(), box=box_term(facts["loss"])),
            **{name: facts[name] for name in own},
        )

    def names(self, detector: Any) -> list[Rename]:
        table = {
            "backbone.body.": "backbone.body.",
            "backbone.fpn.extra_blocks.": "pyramid.",
            "backbone.fpn.": "pyramid.top_down.",
            "head.classification_head.cls_logits.": "classes.output.",
            "head.regression_head.bbox_reg.": "boxes.output.",
        }
        for theirs, ours in _HEADS.items():
            layers = dict(getattr(detector, ours).tower.named_children())
            learned = [key for key, layer in layers.items() if list(layer.parameters())]
            per = 2 if any("Norm" in type(layer).__name__ for layer in layers.values()) else 1
            for number, key in enumerate(learned):
                place = f"{number // per}.{number % per}"
                table[f"head.{theirs}.conv.{place}."] = f"{ours}.tower.{key}."
        return renames(table)
