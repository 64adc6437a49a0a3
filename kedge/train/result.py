"""What a run leaves behind: `RunResult` (run.json) and its detector (`load_run`)."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from kedge.detectors.detector import Detector
from kedge.files import write_json
from kedge.train.checkpoint import check_shapes, fit_weights, load_weights
from kedge.train.config import TrainConfig, load_config
from kedge.train.fingerprint import Fingerprint
from kedge.train.make_detector import make_detector

WEIGHTS, RUN, CONFIG, LAST = "model.safetensors", "run.json", "config.yaml", "last.ckpt"
SHAPES, METRICS, SCORES = "shapes.jsonl", "metrics.jsonl", "scores.jsonl"
PROPOSALS = "proposals.npz"


@dataclass(frozen=True, kw_only=True)
class Station:
    """The shapes (w, h) in pixels at one point of a run, and their mean best IoU with the training
    boxes as the network sees them."""

    name: str
    shapes: list[list[float]]
    mean_best_iou: float | None


class Level(TypedDict):
    """One level of a detector: its stride and the shapes (w, h) on it, in pixels."""

    stride: int | float
    shapes: list[list[float]]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run came to; the content of run.json.

    `stations`: "initial", "after warm-up" (learned shapes only), "final", and "k-means" of the same
    number of shapes, for comparison: the paper's table 4. `levels`: stride and shapes as saved.
    `scores`: COCO metrics and VOC on `eval_split` (empty where there is none).
    `seconds`: of all parts of the run, of each up to its last checkpoint. `seconds_per_step`: mean
    over the training steps of the last part, without loading. `data`: the fingerprint of the
    training split.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    out: Path
    finished: bool
    detector: str
    classes: list[str]
    category_ids: list[int]
    image_size: tuple[int, int]
    levels: list[Level]
    stations: list[Station]
    eval_split: str | None = None
    scores: dict[str, Any] = field(default_factory=dict)
    epochs: int = 0
    steps: int = 0
    seconds: float = 0.0
    seconds_per_step: float | None = None
    data: Fingerprint = field(default_factory=dict)
    made_with: dict[str, Any] = field(default_factory=dict)

    def station(self, name: str) -> Station:
        """The station called `name`."""
        for station in self.stations:
            if station.name == name:
                return station
        raise ValueError(f"no station {name!r}: {[s.name for s in self.stations]}")

    @property
    def shapes(self) -> list[list[float]]:
        """The saved shapes (w, h) of all levels."""
        return [shape for level in self.levels for shape in level["shapes"]]

    def save(self) -> None:
        """Write run.json."""
        values = asdict(self)
        del values["out"]  # the folder may be moved
        write_json(self.out / RUN, values)


def load_result(path: Path) -> RunResult:
    """Read a run.json; ``ValueError`` names the file and what is wrong with it."""
    try:
        values = json.loads(path.read_bytes())
        if not isinstance(values, dict):
            raise ValueError("not a mapping")
        return _RESULT.validate_python(values | {"out": path.parent})
    except FileNotFoundError:
        raise ValueError(f"{path.parent}: holds no run ({path.name} is missing)") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        said = f"{where}: {problem['msg'].lower()}"
        raise ValueError(f"{path}: not the description of a run ({said})") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not the description of a run ({error})") from None


_RESULT = TypeAdapter(RunResult)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trained detector, ready to detect, and where it comes from."""

    detector: Detector
    config: TrainConfig
    result: RunResult

    @property
    def classes(self) -> list[str]:
        """Class names, by label."""
        return self.result.classes


def load_run(path: Path | str) -> Run:
    """The detector of a run folder, in evaluation mode, with its settings and its result.

    Raises ``ValueError`` for a folder without a run, for files that are damaged, and where weights,
    run.json and settings do not belong together.
    """
    folder = Path(path)
    result = load_result(folder / RUN)
    config = load_config(folder / CONFIG)
    detector = restore(config, result, folder / WEIGHTS)
    return Run(detector=detector, config=config, result=result)


def restore(config: TrainConfig, result: RunResult, file: Path) -> Detector:
    """The detector of settings with the weights of `file`, in evaluation mode; it knows its
    classes and its input size."""
    weights = load_weights(file)
    check_shapes(weights, result.shapes, file)
    shapes = [[(w, h) for w, h in level["shapes"]] for level in result.levels]
    known = shapes if any(shapes) else None
    offline = config.model_copy(update={"pretrained": False})  # the weights are at hand
    detector = make_detector(offline, len(result.classes), known)
    fit_weights(detector, weights, file)
    detector.class_names = tuple(result.classes)
    detector.category_ids = tuple(result.category_ids)
    detector.input_size = (result.image_size[0], result.image_size[1])
    return detector.eval()
