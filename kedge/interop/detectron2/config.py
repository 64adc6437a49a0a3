"""The anchors, the rule and the coder of a Detectron2 configuration, read without Detectron2."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.anchors.presets import ratio_shapes
from kedge.coders.delta import LOG_LIMIT
from kedge.doctor.setup import Setup
from kedge.interop.detectron2.matching import rule_of
from kedge.interop.detectron2.setup import delta_coder
from kedge.interop.detectron2.yaml_file import arithmetic, merge, read_yaml
from kedge.interop.listed import padded

_MATCH = {"IOU_LABELS": [0, -1, 1], "BBOX_REG_WEIGHTS": [1.0, 1.0, 1.0, 1.0]}
DEFAULTS: dict[str, Any] = {
    "MODEL": {
        "META_ARCHITECTURE": "GeneralizedRCNN",
        "PROPOSAL_GENERATOR": {"NAME": "RPN"},
        "ANCHOR_GENERATOR": {
            "NAME": "DefaultAnchorGenerator",
            "SIZES": [[32, 64, 128, 256, 512]],
            "ASPECT_RATIOS": [[0.5, 1.0, 2.0]],
            "OFFSET": 0.0,
        },
        "RPN": {"IN_FEATURES": ["res4"], "IOU_THRESHOLDS": [0.3, 0.7], **_MATCH},
        "RETINANET": {
            "IN_FEATURES": ["p3", "p4", "p5", "p6", "p7"],
            "IOU_THRESHOLDS": [0.4, 0.5],
            **_MATCH,
        },
        "RESNETS": {"RES5_DILATION": 1},
    },
    "TEST": {"DETECTIONS_PER_IMAGE": 100},
}
_OWNER = {
    "RetinaNet": "RETINANET",
    **dict.fromkeys(("GeneralizedRCNN", "ProposalNetwork", "PanopticFPN"), "RPN"),
}  # META_ARCHITECTURE: which settings are those of its anchors


def setup_of_config(path: Path, image_size: tuple[int, int], *, flags: str = "") -> Setup:
    """What meets the objects in the RetinaNet or the region proposal network of a yaml.

    ``image_size`` (H, W): an image as it comes to the network, before it is padded. Maps are those
    of ResNets (res2 to res5) and of feature pyramids on them (p2, p3, ...: stride 2^level, images
    padded to multiples of 32).

    Errors: ``ValueError``, which names the file, for what cannot be read and for other models.

    Source: Detectron2's ``config/defaults.py`` and ``modeling/anchor_generator.py`` (June 2026).
    """
    try:
        return _setup(merge(DEFAULTS, read_yaml(path)), image_size, path.name, flags)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not settings of Detectron2: {error!r}") from error
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(str(path)) else f"{path}: {text}") from error


def _setup(values: Any, image_size: tuple[int, int], name: str, flags: str) -> Setup:
    model = values["MODEL"]
    kind, generator = model["META_ARCHITECTURE"], model["ANCHOR_GENERATOR"]
    _expect("META_ARCHITECTURE", kind, _OWNER)
    _expect("ANCHOR_GENERATOR.NAME", generator["NAME"], ["DefaultAnchorGenerator"])
    if _OWNER[kind] == "RPN":
        _expect("PROPOSAL_GENERATOR.NAME", model["PROPOSAL_GENERATOR"]["NAME"], ["RPN"])
    own = model[_OWNER[kind]]
    return Setup(
        title=f"Detectron2's {kind} ({name})",
        grid=_grid(generator, own["IN_FEATURES"], model["RESNETS"], image_size),
        assign=_rule(own),
        coder=delta_coder(_numbers(own["BBOX_REG_WEIGHTS"]), LOG_LIMIT),
        flags=flags,
        focal=kind == "RetinaNet",
        most=None if kind == "ProposalNetwork" else int(values["TEST"]["DETECTIONS_PER_IMAGE"]),
    )


def _expect(key: str, value: Any, known: Any) -> None:
    if value not in known:
        raise ValueError(f"MODEL.{key} {value}: known are {', '.join(known)}")


def _rule(own: Mapping[str, Any]) -> Any:
    labels = [int(label) for label in _numbers(own["IOU_LABELS"])]
    ends = [-math.inf, *_numbers(own["IOU_THRESHOLDS"]), math.inf]
    return rule_of(SimpleNamespace(labels=labels, thresholds=ends, allow_low_quality_matches=True))


def _grid(generator: Any, features: Any, resnets: Any, image_size: tuple[int, int]) -> Grid:
    dilation = int(resnets["RES5_DILATION"])
    strides = [_stride(str(feature), dilation) for feature in features]
    sizes, ratios = (_by_level(generator, n, len(strides)) for n in ("SIZES", "ASPECT_RATIOS"))
    pyramid = str(features[0]).startswith("p")
    height, width = padded(image_size, 32 if pyramid else 0)
    offset = float(arithmetic(generator["OFFSET"]))
    levels = [
        Level(
            stride=stride,
            shapes=ratio_shapes(size, ratio, size_outer=True),
            offset=offset,
            size=(-(-height // stride), -(-width // stride)),
        )
        for stride, size, ratio in zip(strides, sizes, ratios)
    ]
    return Grid(image_size, levels)


def _stride(feature: str, dilation: int) -> int:
    found = re.fullmatch(r"p([2-9])|res([2-5])", feature)
    if found is None:
        raise ValueError(f"IN_FEATURES {feature}: its stride is not known: p2 to p9, res2 to res5")
    level = int(found[1] or found[2])
    return 2**level // (dilation if feature == "res5" else 1)


def _by_level(generator: Any, name: str, levels: int) -> list[list[float]]:
    """The numbers of every level; one list stands for all."""
    found = _numbers(generator[name])
    found = found if isinstance(found[0], list) else [found]
    found = found * levels if len(found) == 1 else found
    if len(found) != levels:
        raise ValueError(f"ANCHOR_GENERATOR.{name}: {len(found)} lists for {levels} maps")
    return found


def _numbers(value: Any) -> list[Any]:
    """A list of numbers, or of such lists, which may be written as text."""
    found = arithmetic(str(value))
    if not isinstance(found, list) or not found:
        raise ValueError(f"expected a list of numbers, got {value}")
    return found
