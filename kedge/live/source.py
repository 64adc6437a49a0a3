"""What a page looks at: the images of a data set, or one image, with anchors to begin with."""

import io
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import PIL.Image
import torch

from kedge.anchors.grid import Grid
from kedge.assign.by_name import said
from kedge.data import Record
from kedge.data.images import decode
from kedge.data.transforms import Fit
from kedge.live.state import LevelState, State, StrategyState
from kedge.live.tour import EXAMPLE, example
from kedge.train.result import WEIGHTS
from kedge.train.saved import Run, load_run
from kedge.types import Predictions, Targets

MOST_PIXELS = 50_000_000  # of an upload
KEPT_UPLOADS = 8


class Recent:
    """The last few answers, by what they are answers to; from several threads."""

    def __init__(self, most: int) -> None:
        self._most, self._kept, self._lock = most, OrderedDict[Hashable, Any](), Lock()

    def get(self, key: Hashable) -> Any:
        """What was put there; None where it was not, or was not asked for in a long time."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Hashable, value: Any) -> None:
        """Keep it, and let go of what was not asked for the longest."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """``records`` with their ``classes``, and the ``start`` of a page.

    ``title`` says what is looked at, in words without a path. ``detector``: its name, where the
    anchors are a detector's. ``data``: "toy", or None where only the user knows where it lies.
    ``run``: the folder of a run whose predictions are to be had.
    """

    title: str
    records: Sequence[Record]
    classes: tuple[str, ...]
    start: State
    detector: str | None = None
    data: str | None = None
    run: Path | None = None
    uploads: "OrderedDict[str, Record]" = field(default_factory=OrderedDict)
    panels: Recent = field(default_factory=lambda: Recent(16))
    _kept: dict[str, Any] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def record(self, image: str) -> Record:
        """The image of that number or name; ``ValueError`` where there is none."""
        if image == EXAMPLE:
            return example()
        if image in self.uploads:
            return self.uploads[image]
        if not image.isdecimal() or int(image) >= len(self.records):
            raise ValueError(
                f"there is no image {image!r}: they are numbered from 0 to {len(self.records) - 1};"
                " a dropped image is gone once the server has stopped"
            )
        return self.records[int(image)]

    def upload(self, content: bytes) -> str:
        """Keep an image that came from the page, and name it; it has no objects.

        ``ValueError`` for what is no image, or too large a one.
        """
        try:
            with PIL.Image.open(io.BytesIO(content)) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise ValueError(
                        f"{image.width} x {image.height} pixels are more than {MOST_PIXELS:,}"
                    )
                pixels = np.array(image.convert("RGB"))
        except (OSError, SyntaxError, PIL.Image.DecompressionBombError):
            raise ValueError("this is no image that can be read") from None
        with self._lock:
            name = f"upload-{self._kept.setdefault('uploads', 0) + 1}"
            self._kept["uploads"] += 1
            self.uploads[name] = record_of(pixels, name=name)
            while len(self.uploads) > KEPT_UPLOADS:
                self.uploads.popitem(last=False)
        return name

    def targets(self, state: State) -> Targets:
        """The objects of the image as the network sees them."""
        record = self.record(state.image)
        boxes, labels, crowd = record.boxes.reshape(-1, 4), record.labels, record.crowd
        if state.boxes is not None:
            boxes = np.array(state.boxes, np.float32).reshape(-1, 4)
            given = state.labels or ()
            if len(given) not in (0, len(boxes)):
                raise ValueError(f"labels: {len(given)} for {len(boxes)} boxes")
            labels = np.array(given or [0] * len(boxes), np.int64)
            crowd = np.zeros(len(boxes), bool)
            boxes = np.concatenate(
                [
                    np.minimum(boxes[:, :2], boxes[:, 2:]),
                    np.maximum(boxes[:, :2], boxes[:, 2:]),
                ],
                axis=1,
            )
        plan = state.place(record.height, record.width)
        rate = np.array([plan.inner[1] / record.width, plan.inner[0] / record.height], np.float32)
        shift = np.array([plan.dx, plan.dy], np.float32)
        seen = boxes.astype(np.float32) * np.tile(rate, 2) + np.tile(shift, 2)
        return Targets(
            boxes=torch.from_numpy(seen),
            labels=torch.from_numpy(labels.astype(np.int64)),
            image=torch.zeros(len(seen), dtype=torch.int64),
            ignore=torch.from_numpy(crowd.astype(bool)),
            batch_size=1,
        )

    # -- the predictions of a run

    def trained(self) -> Run | None:
        """The run with its last saved weights; loaded again when these change. None without."""
        if self.run is None or not (self.run / WEIGHTS).is_file():
            return None
        stamp = (self.run / WEIGHTS).stat().st_mtime_ns
        with self._lock:
            if self._kept.get("weights") != stamp:
                self._kept["run"], self._kept["weights"] = load_run(self.run), stamp
                self._kept.pop("predictions", None)
            return self._kept["run"]

    @property
    def weights(self) -> int | None:
        """Which weights the run was last loaded with: when they were saved, in nanoseconds."""
        return self._kept.get("weights")

    def asked(self, state: State) -> tuple[Targets, Predictions | None]:
        """The objects and predictions that a strategy gets."""
        targets, run, found = self.targets(state), self.trained(), self.predictions(state)
        if run is not None and found is not None:
            targets = run.detector.first_targets(targets)
        return targets, found

    def predictions(self, state: State) -> Predictions | None:
        """What the run's detector says at ``state``'s anchors, if these are its own; None
        otherwise."""
        run = self.trained()
        if run is None or state.resize != "letterbox" or state.size != run.result.image_size:
            return None
        own = run.detector.grid(state.size)
        grid = state.grid(state.size)
        if own is None or len(own) != len(grid):
            return None
        same = own.sizes == grid.sizes and own.shapes_per_level == grid.shapes_per_level
        if not same or not torch.allclose(own.shapes.detach(), grid.shapes, rtol=1e-4):
            return None
        key = (state.image, self.weights)
        kept = self._kept.get("predictions")
        if kept is not None and kept[0] == key:
            return kept[1]
        pixels = torch.from_numpy(decode(self.record(state.image))).permute(2, 0, 1)
        image = Fit(state.size).pixels(pixels)[None].float() / 255
        with torch.no_grad():
            found = run.detector.head(image.as_subclass(torch.Tensor))
        self._kept["predictions"] = (key, found)
        return found


def record_of(pixels: np.ndarray, targets: dict[str, Any] | None = None, name: str = "") -> Record:
    """An image (H, W, 3) uint8 in memory, with torchvision's ``targets`` where there are any."""
    found = Targets.from_list([targets or {"boxes": torch.zeros(0, 4)}])
    return Record(
        file=None,
        width=pixels.shape[1],
        height=pixels.shape[0],
        boxes=found.boxes.cpu().numpy().astype(np.float32),
        labels=found.labels.cpu().numpy(),
        crowd=found.ignore.cpu().numpy(),
        image_id=1,
        name=name,
        draw=lambda: pixels,
    )


def strategy_state(rule: Any) -> StrategyState | None:
    """A strategy as the page says it; None for one that stands in no table."""
    found = said(rule)
    return None if found is None else StrategyState(name=found.pop("name"), settings=found)


def with_image(state: State, image: str) -> State:
    """The same question about another image of the data set, with its own objects."""
    return state.model_copy(update={"image": image, "boxes": None, "labels": None})


def levels_of(grid: Grid) -> tuple[LevelState, ...]:
    """The levels of a grid, with the shapes that it has, which may be other than they say."""
    parts = grid.shapes.detach().split(list(grid.shapes_per_level))
    return tuple(
        LevelState.of(level if level.shapes is None else replace(level, shapes=shapes))
        for level, shapes in zip(grid.levels, parts)
    )
