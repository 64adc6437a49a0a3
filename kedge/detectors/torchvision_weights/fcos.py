"""torchvision's FCOS: fcos_resnet50_fpn, and models of the same class."""

from typing import Any

import torch

from kedge.assign.fcos import FCOS as Rule
from kedge.detectors.torchvision_weights.convertible import Conversion
from kedge.detectors.torchvision_weights.names import Rename, renames
from kedge.detectors.torchvision_weights.parts import (
    Facts,
    backbone_facts,
    check_groups,
    dense_selection,
    make_backbone,
    resize_facts,
)
from kedge.detectors.torchvision_weights.source import Source
from kedge.losses import BoxOverlap, Centreness, DenseLoss

_CONV = "head.classification_head.conv.{}.weight"
_SIDES = [[(float(side), float(side))] for side in (8, 16, 32, 64, 128)]


class FCOSConversion(Conversion[Any]):
    """Every output is a class, background's too: labels are the same.

    torchvision has no scale for the levels: it stays 1 and is not trained. Of a model the radius of
    centre sampling is taken over.
    """

    first_label = 0

    def read(self, source: Source) -> Facts:
        _, width, *_ = source.shape("head.regression_head.bbox_reg.weight")
        check_groups(source, width)
        sides = source.shapes("anchor_generator", _SIDES)
        if [[tuple(side) for side in level] for level in sides] != _SIDES:
            raise ValueError(f"{source.where}: anchors of {sides}, not one of a stride's size")
        depth = 0
        while source.has(_CONV.format(3 * depth)):  # norm and ReLU follow each
            depth += 1
        return {
            "num_classes": source.shape("head.classification_head.cls_logits.weight")[0],
            "width": width,
            "depth": depth,
            "backbone": backbone_facts(source),
            "resize": resize_facts(source),
            "radius": source.setting("center_sampling_radius", 1.5),
            "selections": {"detections": dense_selection(source, 0.2, 0.6, 1000, 100)},
        }

    def make(self, detector: type[Any], facts: Facts) -> Any:
        made = detector(
            backbone=make_backbone(facts["backbone"]),
            offset=0.0,
            assign=Rule(centre_radius=facts["radius"], strict=True),
            loss=DenseLoss(box=BoxOverlap(), quality=Centreness()),
            **{name: facts[name] for name in ("num_classes", "width", "depth")},
        )
        made.layers.scale.requires_grad_(False)
        return made

    def names(self, detector: Any) -> list[Rename]:
        scale = detector.layers.scale
        if not torch.equal(scale, torch.ones_like(scale)):
            raise ValueError(f"FCOS: torchvision has no scale for the levels, only 1: {scale}")
        table = {
            "backbone.body.": "backbone.body.",
            "backbone.fpn.extra_blocks.": "pyramid.",
            "backbone.fpn.": "pyramid.top_down.",
            "head.classification_head.conv.": "layers.class_tower.",
            "head.classification_head.cls_logits.": "layers.classes.",
            "head.regression_head.conv.": "layers.box_tower.",
            "head.regression_head.bbox_reg.": "layers.codes.",
            "head.regression_head.bbox_ctrness.": "layers.quality.",
        }
        return [*renames(table), Rename(theirs=None, ours="layers.scale")]
