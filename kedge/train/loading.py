"""``kedge.load``: a detector from a run folder, or from a weights file that describes itself."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from kedge.detectors.detector import Detector
from kedge.train.config import ModelSettings, TrainConfig, make_config
from kedge.train.result import RUN, WEIGHTS, RunResult, load_run, restore

_KEYS = ("detector", "classes", "category_ids", "image_size", "levels", "model")


def load(path: Path | str, *, device: torch.device | str = "cpu") -> Detector:
    """The detector of a run folder or of a weights file (``model.safetensors``), ready to predict.

    It is in evaluation mode, on ``device``, and knows its ``class_names``, its ``category_ids`` and
    its ``input_size``. A weights file is enough by itself: its header holds the settings of the
    model. One from before that was so needs the ``run.json`` and ``config.yaml`` of its run beside
    it. Nothing is unpickled.

    Raises ``ValueError`` naming the file and what is missing, damaged or does not belong together.
    """
    path = Path(path)
    if path.is_dir():
        return load_run(path).detector.to(device)
    if not path.exists():
        raise ValueError(f"{path}: no such run folder or weights file")
    facts = read_facts(path)
    missing = [key for key in _KEYS if key not in facts]
    if missing and path.name == WEIGHTS and (path.parent / RUN).exists():
        return load_run(path.parent).detector.to(device)
    if missing:
        raise ValueError(
            f"{path}: its header lacks {', '.join(missing)}, so that it cannot be used alone: put "
            "it beside the run.json and config.yaml of its run"
        )
    return restore(*_described(facts, path), path).to(device)


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
