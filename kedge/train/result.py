"""What a run leaves behind: its files, and `RunResult` (run.json). Nothing here imports torch."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from kedge.files import read_lines, write_json
from kedge.train.fingerprint import Fingerprint

WEIGHTS, RUN, CONFIG, LAST = "model.safetensors", "run.json", "config.yaml", "last.ckpt"
SHAPES, METRICS, SCORES = "shapes.jsonl", "metrics.jsonl", "scores.jsonl"
PROPOSALS = "proposals.npz"
FILES = (LAST, RUN, WEIGHTS, METRICS, SHAPES, SCORES, CONFIG)
"""What a run writes and another one in its place takes away."""


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


def unanswered(folder: Path) -> tuple[int, int]:
    """Objects that had no positive anchor, and all objects, in the logged steps of the second half
    of a run: what it was not taught. 0 of 0 where no step said so."""
    rows = [row for row in read_lines(folder / METRICS) if "objects" in row]
    late = rows[len(rows) // 2 :]
    objects = int(sum(row["objects"] for row in late))
    return objects - int(sum(row["answered"] for row in late)), objects


_RESULT = TypeAdapter(RunResult)
