"""``kedge.load``: a detector from a run folder, or from a weights file that describes itself; and
``kedge.save``, which writes such a file of one that came from elsewhere."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from kedge.detectors import DETECTORS, detector_class
from kedge.detectors.detector import Detector
from kedge.detectors.torchvision_weights.convertible import Convertible
from kedge.export.opened import Exported, is_exported, open_exported
from kedge.train.checkpoint import fit_weights, load_weights, save_weights
from kedge.train.config import ModelSettings, TrainConfig, make_config
from kedge.train.provenance import versions
from kedge.train.result import RUN, WEIGHTS, RunResult
from kedge.train.saved import load_run, restore

_KEYS = ("detector", "classes", "category_ids", "image_size", "levels", "model")


def load(path: Path | str, *, device: torch.device | str = "cpu") -> Detector:
    """The detector of a run folder or of a weights file (``model.safetensors``), ready to predict.

    It is in evaluation mode, on ``device``, and knows its ``class_names``, its ``category_ids`` and
    its ``input_size``; one that came from torchvision its ``resize`` instead. A weights file is
    enough by itself: its header holds the settings of the model. One from before that was so needs
    the ``run.json`` and ``config.yaml`` of its run beside it. Nothing is unpickled.

    Raises ``ValueError`` naming the file and what is missing, damaged or does not belong together.
    """
    path = Path(path)
    if path.is_dir():
        return load_run(path).detector.to(device)
    if not path.exists():
        raise ValueError(f"{path}: no such run folder or weights file")
    if is_exported(path):
        raise ValueError(
            f"{path}: an exported file runs, but cannot be changed any more: "
            "kedge.export.open_exported opens it, kedge predict and kedge evaluate take it"
        )
    facts = read_facts(path)
    if "torchvision" in facts:
        return _converted(facts, path).to(device)
    missing = [key for key in _KEYS if key not in facts]
    if missing and path.name == WEIGHTS and (path.parent / RUN).exists():
        return load_run(path.parent).detector.to(device)
    if missing:
        raise ValueError(
            f"{path}: its header lacks {', '.join(missing)}, so that it cannot be used alone: put "
            "it beside the run.json and config.yaml of its run"
        )
    return restore(*_described(facts, path), path).to(device)


def load_any(path: Path) -> Detector | Exported:
    """A detector that can be asked: of a file of ``kedge export``, or what ``load`` takes."""
    return open_exported(path) if is_exported(path) else load(path)


def save(detector: Detector, path: Path | str) -> None:
    """Writes a detector that came from torchvision as a weights file, which ``load`` reads alone.

    With its classes, its resizing of images and its selections as they are now. Written atomically.

    Raises ``ValueError`` for a detector that did not come from torchvision: what ``kedge train``
    made is in its run folder already.
    """
    name = next((key for key, made in DETECTORS.items() if made == type(detector).__name__), None)
    if name is None or not isinstance(detector, Convertible) or detector.facts is None:
        raise ValueError(
            f"this {type(detector).__name__} did not come from torchvision, so that a file cannot "
            "say how it is made: keep its state_dict(), or the run folder of kedge train"
        )
    facts = {
        "detector": name,
        "classes": detector.class_names,
        "category_ids": detector.category_ids,
        "torchvision": detector.described(),
        "versions": versions(),
    }
    save_weights(Path(path), detector.state_dict(), facts)


def _converted(facts: dict[str, Any], path: Path) -> Detector:
    """The detector of a file that ``save`` wrote."""
    make = detector_class(str(facts.get("detector")))
    if not (isinstance(make, type) and issubclass(make, Convertible)):
        raise ValueError(f"{path}: header: {make} is not in torchvision")
    try:
        detector = make.from_facts(facts["torchvision"])
        names, ids = facts["classes"], facts["category_ids"]
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: header: is not what kedge.save writes ({error!r})") from None
    fit_weights(detector, load_weights(path), path)
    detector.class_names = None if names is None else tuple(names)
    detector.category_ids = None if ids is None else tuple(ids)
    return detector.eval()


def facts_of(config: TrainConfig, result: RunResult) -> dict[str, Any]:
    """What goes into the header of a weights file: enough to use it by itself."""
    settings = config.model_dump(mode="json", include=set(ModelSettings.model_fields))
    return {
        "detector": result.detector,
        "classes": result.classes,
        "category_ids": result.category_ids,
        "image_size": list(result.image_size),
        "levels": result.levels,
        "model": settings,
        "versions": result.made_with["versions"],
    }


def read_facts(path: Path) -> dict[str, Any]:
    """The facts in the header of a weights file; empty where it has none."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("kedge", "{}"))
    except SafetensorError as error:
        raise ValueError(
            f"{path}: truncated, damaged or not safetensors ({error}); kedge.load takes a run "
            f"folder or its {WEIGHTS}"
        ) from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: its header cannot be read ({error})") from None
    if not isinstance(facts, dict):
        raise ValueError(f"{path}: its header is not Kedge's: {facts!r:.60}")
    return facts


def _described(facts: dict[str, Any], path: Path) -> tuple[TrainConfig, RunResult]:
    """Settings and result as a header tells them, checked."""
    source = f"{path}: header"
    if not isinstance(facts["model"], dict):
        raise ValueError(f"{source}: model is no mapping")
    config = make_config({**facts["model"], "image_size": facts["image_size"]}, source)
    try:
        result = RunResult(
            out=path.parent,
            finished=True,
            detector=str(facts["detector"]),
            classes=[str(name) for name in facts["classes"]],
            category_ids=[int(number) for number in facts["category_ids"]],
            image_size=config.image_size,
            levels=[
                {"stride": level["stride"], "shapes": [_pair(*shape) for shape in level["shapes"]]}
                for level in facts["levels"]
            ],
            stations=[],
        )
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{source}: is not what kedge train writes ({error!r})") from None
    return config, result


def _pair(width: float, height: float) -> list[float]:
    return [float(width), float(height)]
