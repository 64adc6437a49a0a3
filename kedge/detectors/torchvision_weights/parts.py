"""What all of torchvision's detectors share: preprocessing, backbone, selections."""

from dataclasses import replace
from typing import Any

from torch import nn

from kedge.anchors import LearnedShapes
from kedge.detectors.dense import Dense
from kedge.detectors.detector import Detector
from kedge.detectors.resize import Resize
from kedge.detectors.torchvision_weights.source import Source
from kedge.nn import TorchvisionBackbone
from kedge.nn.normalise import IMAGENET_MEAN, IMAGENET_STD
from kedge.nn.torchvision_backbone import recognise_body
from kedge.select import Selection
from kedge.select.by_name import changed_selection

Facts = dict[str, Any]  # JSON: enough to make a detector without its weights
_BODY, _INNER = "backbone.body.", "backbone.fpn.inner_blocks.{}.0.weight"


def backbone_facts(source: Source) -> Facts:
    """Arguments of ``TorchvisionBackbone``."""
    source.shape(_INNER.format(0))
    maps = source.count(_INNER)
    body = {
        key.removeprefix(_BODY): value.shape
        for key, value in source.weights.items()
        if key.startswith(_BODY)
    }
    frozen = not any(key.endswith("num_batches_tracked") for key in body)
    layers = source.setting("backbone.body", nn.Module()).modules()
    return {
        "name": recognise_body(body, maps=maps, frozen=frozen),
        "maps": maps,
        "frozen": frozen,
        "eps": next((layer.eps for layer in layers if hasattr(layer, "eps")), 1e-5),
        "mean": list(source.setting("transform.image_mean", IMAGENET_MEAN)),
        "std": list(source.setting("transform.image_std", IMAGENET_STD)),
    }


def make_backbone(facts: Facts) -> TorchvisionBackbone:
    """The backbone of ``backbone_facts``."""
    return TorchvisionBackbone(**{k: _tuples(v) for k, v in facts.items()})


def resize_facts(source: Source, short: int = 800, long: int = 1333) -> Facts:
    """Arguments of ``Resize``; ``short`` and ``long`` of a state dict."""
    sides = source.setting("transform.min_size", (short,))
    fixed = source.setting("transform.fixed_size", None)
    if fixed is None:
        facts: Facts = {"short": sides[-1], "long": source.setting("transform.max_size", long)}
    else:
        facts = {"size": [fixed[1], fixed[0]]}
    return facts | {
        "multiple": source.setting("transform.size_divisible", 32),
        "fill": list(source.setting("transform.image_mean", IMAGENET_MEAN)),
    }


def make_resize(facts: Facts) -> Resize:
    """The rule of ``resize_facts``."""
    return Resize(**{k: _tuples(v) for k, v in facts.items()})


def matcher_facts(source: Source, path: str, positive: float, negative: float) -> Facts:
    """Thresholds of the ``Matcher`` at ``path``."""
    return {
        "positive": source.setting(f"{path}.high_threshold", positive),
        "negative": source.setting(f"{path}.low_threshold", negative),
    }


def dense_selection(
    source: Source, score: float, overlap: float, candidates: int, most: int
) -> Facts:
    """Settings of the selection of a detector of one stage; those named of a state dict."""
    return {
        "score": source.setting("score_thresh", score),
        "candidates": source.setting("topk_candidates", candidates),
        "suppress": {"name": "nms", "threshold": source.setting("nms_thresh", overlap)},
        "most": source.setting("detections_per_img", most),
        "min_side": -1.0,  # boxes that clipping left without area stay
    }


def measure_steps_(detector: Detector) -> None:
    """Lets the cells of ``detector`` stand where torchvision's ``AnchorGenerator`` has them."""
    if detector.shapes is not None:
        levels = [replace(level, measured=True) for level in detector.shapes.levels]
        detector.shapes = LearnedShapes(levels, learn=False)
    elif isinstance(detector, Dense):
        detector.levels = tuple(replace(level, measured=True) for level in detector.levels)


def check_groups(source: Source, width: int) -> None:
    """``ValueError`` for group norm of another number of groups than ours has at ``width``."""
    ours = max(1, width // 8)
    for layer in source.setting("head", nn.Module()).modules():
        if isinstance(layer, nn.GroupNorm) and layer.num_groups != ours:
            raise ValueError(
                f"{source.where}: group norm of {layer.num_groups} groups; there are {ours} here"
            )


def make_selection(facts: Facts) -> Selection:
    """The selection of settings by name."""
    return changed_selection(Selection(), facts)


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
