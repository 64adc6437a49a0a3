"""The anchors, the rule and the coder of an MMDetection detector or configuration, for the
doctor."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from mmdet.registry import MODELS  # pyright: ignore[reportMissingImports]
from mmengine.config import Config  # pyright: ignore[reportMissingImports]
from mmengine.registry import DefaultScope  # pyright: ignore[reportMissingImports]
from torch import nn

from kedge.anchors.grid import Grid
from kedge.detectors.predict import evaluating
from kedge.doctor.setup import Setup
from kedge.interop.listed import padded
from kedge.interop.mmdetection.heads import cells_of, detector_of, grid_on, head_of
from kedge.interop.mmdetection.rules import coder_of_head, rule_of_head


def setup_of_config(path: Path, image_size: tuple[int, int], *, flags: str = "") -> Setup:
    """What meets the objects in the detector of a configuration (.py), which is run and built.

    Errors: ``ValueError`` for a file that cannot be read or built, and as ``setup_of``.
    """
    try:
        config = Config.fromfile(path)
        with DefaultScope.overwrite_default_scope(config.get("default_scope", "mmdet")):
            model = MODELS.build(config.model)
    except Exception as error:
        what = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"{path}: MMDetection makes no model of it: {what[-1]}") from error
    found = setup_of(model, image_size, flags=flags)
    return replace(found, title=f"{found.title} ({path.name})")


def setup_of(model: nn.Module, image_size: tuple[int, int], *, flags: str = "") -> Setup:
    """What meets the objects in an MMDetection detector; of two stages in the first, which proposes
    regions.

    ``image_size`` (H, W): an image as it comes to the network, before it is padded. ``flags``: the
    words of a command line that mean the model. The model is left as it was.

    Errors: ``ValueError`` for a model without a head of that kind, for heads, assigners, coders and
    prior generators that are not understood.
    """
    detector = detector_of(model)
    head = head_of(detector)
    rule, coder = rule_of_head(head), coder_of_head(head)
    loss = type(getattr(head, "loss_cls", None)).__name__
    return Setup(
        title=f"MMDetection's {type(detector).__name__}",
        grid=grid_of(detector, image_size),
        assign=rule,
        coder=coder,
        flags=flags,
        focal="Focal" in loss,
        most=_most(detector.test_cfg),
    )


def grid_of(detector: Any, image_size: tuple[int, int]) -> Grid:
    """The grid of the anchors that the detector makes for an image (H, W)."""
    divisor = getattr(detector.data_preprocessor, "pad_size_divisor", 1)
    pixels = next(detector.parameters()).new_zeros(1, 3, *padded(image_size, divisor))
    with evaluating(detector):
        try:
            maps = detector.extract_feat(pixels)
        except RuntimeError as error:
            height, width = image_size
            raise ValueError(
                f"{type(detector).__name__} takes no images of {height} x {width} pixels: {error}"
            ) from error
    return grid_on(head_of(detector), image_size, cells_of(maps))


def _most(settings: Any) -> int | None:
    """Detections of an image at most, by ``test_cfg``."""
    settings = settings or {}
    return settings.get("rcnn", settings).get("max_per_img")
