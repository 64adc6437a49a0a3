"""A detector from settings: of which class, with which parts and shapes."""

from collections.abc import Container
from typing import Any

from kedge.assign.by_name import STRATEGIES, named, strategy
from kedge.coders.by_name import CODERS
from kedge.detectors import detector_class
from kedge.detectors.detector import Detector
from kedge.losses.by_name import change_loss_
from kedge.losses.dense import DenseLoss
from kedge.nn import without_downloads
from kedge.parts import assignments, build, checked, find, keywords
from kedge.sample.by_name import SAMPLERS
from kedge.select.by_name import changed_selection
from kedge.train.config import TrainConfig
from kedge.train.stages import change_regions_, first_stage
from kedge.train.start_shapes import LevelShapes

_OPTIONAL = ("backbone", "stride", "pretrained", "scale_only_bn")
_PARTS = ("assign", "coder", "sample", "loss", "selection", "shapes", "learn", "num_classes")


def make_detector(
    config: TrainConfig, num_classes: int, shapes: LevelShapes | None = None
) -> Detector:
    """The detector of `config`, with `shapes` (w, h) in pixels on its levels, or its own.

    Raises ``ValueError`` for a setting that this detector does not have, a part by a name that does
    not exist, or parts that do not fit each other.
    """
    make = detector_class(config.detector)
    arguments = _arguments(config, make) | _parts(config, num_classes, keywords(make))
    if shapes is not None:
        arguments["shapes"] = shapes
    if "learn" in keywords(make):
        arguments["learn"] = config.learn_anchors
    elif config.learn_anchors:
        raise ValueError(f"learn_anchors: {config.detector} has no anchor shapes to learn")
    detector = make(num_classes=num_classes, **arguments)
    if config.loss is not None:
        loss = _changed_loss(config, detector)  # made with it again: it may need other outputs
        detector = make(num_classes=num_classes, loss=loss, **arguments)
    if config.selection is not None:
        last = detector.selecting
        if last is None:
            raise ValueError(f"selection: {config.detector} has none that settings can change")
        changes = assignments(config.selection, "selection")
        last.selection = changed_selection(last.selection, changes)
    if config.regions is not None:
        change_regions_(detector, assignments(config.regions, "regions"), config.detector)
    return detector


def _arguments(config: TrainConfig, make: Any) -> dict[str, Any]:
    """Keyword arguments that are settings of their own, and options."""
    accepted, arguments = keywords(make), {}
    for name in _OPTIONAL:
        value = getattr(config, name)
        if name in accepted:
            arguments[name] = value
        elif value != TrainConfig.model_fields[name].default:
            raise ValueError(f"{name}: {config.detector} has no such setting")
    options = assignments(config.options or "", "options")
    return arguments | checked(make, options, config.detector, without=(*_PARTS, *_OPTIONAL))


def _parts(config: TrainConfig, num_classes: int, accepted: Container[str]) -> dict[str, Any]:
    """The parts that settings name. A strategy with parameters of every class learns them."""
    parts: dict[str, Any] = {}
    for name in ("assign", "coder", "sample"):
        if getattr(config, name) is not None and name not in accepted:
            raise ValueError(f"{name}: {config.detector} has no such setting")
    if config.assign is not None:
        name, settings = named(config.assign, "assign")
        if "num_classes" in keywords(find(STRATEGIES, name, "strategy")):
            settings = {"num_classes": num_classes} | settings
        parts["assign"] = strategy({"name": name} | settings)
    if config.coder is not None:
        parts["coder"] = build(CODERS, config.coder, "coder")
    if config.sample is not None:
        parts["sample"] = build(SAMPLERS, config.sample, "sampler")
    return parts


def _changed_loss(config: TrainConfig, detector: Detector) -> DenseLoss:
    loss = getattr(first_stage(detector), "loss", None)
    if not isinstance(loss, DenseLoss):
        raise ValueError(f"loss: {config.detector} has none that settings can change")
    change_loss_(loss, assignments(config.loss or "", "loss"))
    return loss


def sketch_of(config: TrainConfig) -> Detector:
    """A throw-away detector of the same kind: its strides, and how many shapes it has."""
    with without_downloads():
        return make_detector(config.model_copy(update={"loss": None}), 1)
