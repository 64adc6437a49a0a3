"""torchvision's Faster R-CNN with a feature pyramid: fasterrcnn_resnet50_fpn, _v2,
_mobilenet_v3_large_fpn, _320_fpn, the box part of maskrcnn_resnet50_fpn, and the like."""

import re
from collections.abc import Mapping
from typing import Any

from kedge.anchors import preset
from kedge.anchors.presets import ratio_shapes, torchvision_rounded
from kedge.assign.max_iou import MaxIoU
from kedge.coders import DeltaCoder
from kedge.detectors.torchvision_weights.convertible import Conversion
from kedge.detectors.torchvision_weights.names import (
    Rename,
    background_last,
    renames,
    without_background,
)
from kedge.detectors.torchvision_weights.parts import (
    Facts,
    backbone_facts,
    make_backbone,
    matcher_facts,
    resize_facts,
)
from kedge.detectors.torchvision_weights.source import Source
from kedge.nn import ConvMLP, PoolPyramid, RoIPool, RPNLayers
from kedge.sample import RandomSample
from kedge.select import Selection

_CODES = "rpn.head.bbox_pred.weight"
_BOX_HEAD = "roi_heads.box_head."


class FasterRCNNConversion(Conversion[Any]):
    """Background is torchvision's label 0 and none here: labels are one less.

    ``norm`` (v2) is batch norm in the pyramid, ``convs`` the convolutions of the second stage. Of a
    model the thresholds and sizes of both samples are taken over; masks and key points are not.
    """

    first_label = 1
    ignored = ("roi_heads.mask_", "roi_heads.keypoint_")
    old = ((re.compile(r"^(rpn\.head\.conv)\.(weight|bias)$"), r"\1.0.0.\2"),)

    def read(self, source: Source) -> Facts:
        outputs, width, *_ = source.shape(_CODES)
        classes, hidden = source.shape("roi_heads.box_predictor.cls_score.weight")
        return {
            "num_classes": classes - 1,
            "shapes": source.shapes("rpn.anchor_generator", _published(source, outputs // 4)),
            "width": width,
            "hidden": hidden,
            "depth": source.count("rpn.head.conv.{}.0.weight"),
            "norm": source.has("backbone.fpn.inner_blocks.0.1.weight"),
            "convs": source.count(_BOX_HEAD + "{}.0.weight"),
            "backbone": backbone_facts(source),
            "resize": resize_facts(source),
            "pool": _pool(source),
            "stds": [1 / w for w in source.setting("roi_heads.box_coder.weights", (10, 10, 5, 5))],
            "first": _training(source, "rpn", (0.7, 0.3), (256, 0.5)),
            "second": _training(source, "roi_heads", (0.5, 0.5), (512, 0.25)),
            "selections": {
                "training": _proposals(source, "training", outputs // 4, 2000, 2000),
                "testing": _proposals(source, "testing", outputs // 4, 1000, 1000),
                "detections": _detections(source),
            },
        }

    def make(self, detector: type[Any], facts: Facts) -> Any:
        own = ("num_classes", "shapes", "width", "hidden")
        body = make_backbone(facts["backbone"])
        made = detector(backbone=body, **{name: facts[name] for name in own})
        width, first, second = facts["width"], made.proposals, made.regions
        made.pyramid = PoolPyramid(body.channels, width, norm=facts["norm"])
        first.layers = RPNLayers(width, len(facts["shapes"][0]), depth=facts["depth"])
        strides = body.strides[: facts["pool"]["maps"]]
        second.pool = RoIPool(strides, **{k: v for k, v in facts["pool"].items() if k != "maps"})
        if facts["convs"]:
            second.layers = ConvMLP(
                width, facts["hidden"], classes=made.num_classes + 1, codes=4 * made.num_classes,
                depth=facts["convs"],
            )  # fmt: skip
        second.coder = DeltaCoder(stds=tuple(facts["stds"]))
        first.assign = MaxIoU(**facts["first"]["assign"])
        second.assign = MaxIoU(**facts["second"]["assign"], low_quality="none")
        first.sample = RandomSample(**facts["first"]["sample"])
        second.sample = RandomSample(**facts["second"]["sample"])
        return made

    def names(self, detector: Any) -> list[Rename]:
        table = {
            "backbone.body.": "backbone.body.",
            "backbone.fpn.": "pyramid.top_down.",
            "rpn.head.cls_logits.": "proposals.layers.objectness.",
            "rpn.head.bbox_pred.": "proposals.layers.codes.",
        }
        for number in range(len(detector.proposals.layers.tower) // 2):  # a ReLU follows each
            table[f"rpn.head.conv.{number}.0."] = f"proposals.layers.tower.{2 * number}."
        layers = detector.regions.layers
        if isinstance(layers, ConvMLP):
            convs = len(layers.tower) // 3  # norm and ReLU follow each
            for number in range(convs):
                for part in (0, 1):
                    ours = f"regions.layers.tower.{3 * number + part}."
                    table[f"{_BOX_HEAD}{number}.{part}."] = ours
            table[f"{_BOX_HEAD}{convs + 1}."] = "regions.layers.fc."
        else:
            table |= {_BOX_HEAD + name: "regions.layers." + name for name in ("fc6.", "fc7.")}
        predictor = "roi_heads.box_predictor."
        classes = Rename(
            theirs=predictor + "cls_score.", ours="regions.layers.classes.", **background_last()
        )
        codes = Rename(
            theirs=predictor + "bbox_pred.", ours="regions.layers.codes.", **without_background(4)
        )
        return [*renames(table), classes, codes]

    def selections(self, detector: Any) -> dict[str, Selection]:
        training, testing = (detector.proposals.selections[mode] for mode in (True, False))
        now = detector.regions.selection
        return {"training": training, "testing": testing, "detections": now}

    def select(self, detector: Any, selections: Mapping[str, Selection]) -> None:
        chosen = {True: selections["training"], False: selections["testing"]}
        detector.proposals.selections = chosen
        detector.regions.selection = selections["detections"]


def _published(source: Source, shapes: int) -> list[Any]:
    """The anchors of torchvision's builders: three shapes a cell with a ResNet, 15 with a
    MobileNet."""
    if shapes == 15:
        every = torchvision_rounded(ratio_shapes((32, 64, 128, 256, 512), (0.5, 1.0, 2.0)))
        return [every] * 3
    if shapes != 3 and source.model is None:
        raise ValueError(
            f"{source.where}: {shapes} anchors a cell are those of no builder of torchvision's: "
            "give the model instead of its state dict"
        )
    return [level.shapes for level in preset("faster_rcnn_fpn_torchvision").levels]


def _pool(source: Source) -> Facts:
    """Arguments of ``RoIPool``, and how many ``maps`` it reads."""
    path = "roi_heads.box_roi_pool."
    maps = [str(number) for number in range(source.count("backbone.fpn.inner_blocks.{}.0.weight"))]
    read = source.setting(path + "featmap_names", maps)
    return {
        "maps": sum(name in read for name in maps),
        "sampling": source.setting(path + "sampling_ratio", 2),
        "canonical": float(source.setting(path + "canonical_scale", 224)),
        "canonical_stride": 2 ** source.setting(path + "canonical_level", 4),
    }


def _training(
    source: Source, path: str, thresholds: tuple[float, float], sample: tuple[int, float]
) -> Facts:
    return {
        "assign": matcher_facts(source, f"{path}.proposal_matcher", *thresholds),
        "sample": {
            "size": source.setting(f"{path}.fg_bg_sampler.batch_size_per_image", sample[0]),
            "positive_share": source.setting(f"{path}.fg_bg_sampler.positive_fraction", sample[1]),
        },
    }


def _proposals(source: Source, mode: str, shapes: int, candidates: int, most: int) -> Facts:
    least = source.setting("rpn.score_thresh", 0.05 if shapes == 15 else 0.0)
    before = source.setting("rpn._pre_nms_top_n", {mode: candidates})
    after = source.setting("rpn._post_nms_top_n", {mode: most})
    return {
        "score": least if least > 0 else -1.0,  # torchvision keeps what equals the threshold
        "candidates": before[mode],
        "suppress": {"name": "nms", "threshold": source.setting("rpn.nms_thresh", 0.7)},
        "apart": "level",
        "min_side": 1e-3,
        "most": after[mode],
    }


def _detections(source: Source) -> Facts:
    path = "roi_heads."
    return {
        "score": source.setting(path + "score_thresh", 0.05),
        "candidates": None,
        "suppress": {"name": "nms", "threshold": source.setting(path + "nms_thresh", 0.5)},
        "min_side": 1e-2,
        "most": source.setting(path + "detections_per_img", 100),
    }
