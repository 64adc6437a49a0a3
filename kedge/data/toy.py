"""Toy data, drawn by code from a seed: nothing to download, and anchors matter in it.

Five classes of things on textured backgrounds. Areas span two orders of magnitude (sides from
5 pixels to most of the image), aspect ratios reach 1:6 and 6:1, each class in its own, images are
not square, some are empty, objects overlap, and a few crowd regions hold swarms too dense to
be labelled one by one.
"""

import json
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from kedge.data.records import Data, Record
from kedge.data.toy_art import CLASSES, Scene, Thing, draw

SIZE = (256, 320)
IMAGES = {"train": 400, "val": 100}
_ROOT_AREA = (8.0, 115.0)  # pixels; what is drawn outside of these is drawn again
_MOST_ELONGATED = 6.0
_SHORTEST = 5.0
_OUTLIERS = 0.1  # share of objects whose size and shape say nothing about their class


@dataclass(frozen=True, slots=True)
class _Habit:
    """How large and how tall the things of a class tend to be: medians and spreads (of logs).

    Things in the world come in typical shapes, which is why a few anchors can do; so do these.
    """

    root_area: float
    h_over_w: float
    spread: float = 0.19
    turns: bool = False  # half of them lie on their side


_HABITS = {
    "bar": _Habit(42, 4.6, turns=True),
    "disc": _Habit(14, 1.0),
    "ring": _Habit(34, 0.55),
    "cross": _Habit(78, 1.0),
    "wedge": _Habit(26, 2.9),
}


def data(
    split: str = "train",
    images: int | None = None,
    seed: int = 0,
    size: tuple[int, int] = SIZE,
) -> Data:
    """The toy set in memory: what to draw is decided here, pixels are drawn when asked for.

    split "train" or "val" (they never share an image), `images` 400 and 100 by default, of
    `size` (H, W). The same arguments give the same images, whatever `images` is.
    """
    if split not in IMAGES:
        raise ValueError(f'the toy data has the splits "train" and "val", not {split!r}')
    if min(size) < 64:
        raise ValueError(f"toy images need at least 64 pixels on each side, not {size}")
    count = IMAGES[split] if images is None else images
    part = list(IMAGES).index(split)
    return Data(
        source="toy",
        format="drawn",
        split=split,
        splits=tuple(IMAGES),
        classes=CLASSES,
        category_ids=tuple(range(1, len(CLASSES) + 1)),
        records=[_record(_compose((seed, part, i), size), i, split) for i in range(count)],
    )


def write(
    folder: str | Path,
    train: int = IMAGES["train"],
    val: int = IMAGES["val"],
    seed: int = 0,
    size: tuple[int, int] = SIZE,
) -> Path:
    """Write the toy set as a COCO folder: train.json, val.json and images/ (PNG).

    All or nothing: the folder appears when it is complete. Raises ValueError when it exists and
    is not empty.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: exists and is not empty: choose another folder or empty it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        (building / "images").mkdir()
        for split, count in (("train", train), ("val", val)):
            _write_split(building, data(split, count, seed, size))
        building.chmod(0o755)
        building.replace(folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return folder


def _record(scene: Scene, index: int, split: str) -> Record:
    boxes = np.array([thing.box for thing in scene.things], np.float32).reshape(-1, 4)
    return Record(
        file=None,
        width=scene.size[1],
        height=scene.size[0],
        boxes=boxes,
        labels=np.array([thing.label for thing in scene.things], np.int64),
        crowd=np.array([thing.crowd for thing in scene.things], bool),
        image_id=index + 1,
        name=f"{split}_{index:05d}.png",
        draw=partial(draw, scene),
    )


def _compose(key: tuple[int, int, int], size: tuple[int, int]) -> Scene:
    """Decide what an image shows. Largest first, so that small things are drawn on top."""
    rng = np.random.default_rng(key)
    things: list[Thing] = []
    if rng.random() < 0.05:
        things.append(_crowd(rng, size))
    if rng.random() >= 0.06:
        wanted = int(rng.integers(1, 10))
        for _ in range(4 * wanted):
            thing = _thing(rng, size)
            if thing is not None and all(_compatible(thing, other) for other in things):
                things.append(thing)
            if sum(not t.crowd for t in things) == wanted:
                break
    things.sort(key=lambda thing: -_area(thing.box))
    return Scene(key=key, size=size, things=tuple(things))


def _thing(rng: np.random.Generator, size: tuple[int, int]) -> Thing | None:
    """One object somewhere in the image, or None when its size does not fit."""
    label = int(rng.integers(len(CLASSES)))
    habit = _HABITS[CLASSES[label]]
    if rng.random() < _OUTLIERS:
        root = float(np.exp(rng.uniform(*np.log(_ROOT_AREA))))
        ratio = float(np.exp(rng.uniform(-1, 1) * np.log(_MOST_ELONGATED)))
    else:
        root, ratio = np.exp(habit.spread * rng.standard_normal(2)).tolist()
        root, ratio = root * habit.root_area, ratio * habit.h_over_w
        if habit.turns and rng.random() < 0.5:
            ratio = 1 / ratio
    width, height = root / ratio**0.5, root * ratio**0.5
    if max(ratio, 1 / ratio) > _MOST_ELONGATED or not _ROOT_AREA[0] < root < _ROOT_AREA[1]:
        return None
    if min(width, height) < _SHORTEST or width > 0.9 * size[1] or height > 0.9 * size[0]:
        return None
    x, y = rng.uniform(0, size[1] - width), rng.uniform(0, size[0] - height)
    return Thing(label=label, box=_single(x, y, x + width, y + height), crowd=False)


def _crowd(rng: np.random.Generator, size: tuple[int, int]) -> Thing:
    width, height = rng.uniform(0.2, 0.4, 2) * (size[1], size[0])
    x, y = rng.uniform(0, size[1] - width), rng.uniform(0, size[0] - height)
    label = int(rng.choice([CLASSES.index("disc"), CLASSES.index("cross")]))
    return Thing(label=label, box=_single(x, y, x + width, y + height), crowd=True)


def _single(*corners: float) -> tuple[float, float, float, float]:
    """Corners as float32 holds them, so that a written set reads back the same."""
    x1, y1, x2, y2 = (float(np.float32(corner)) for corner in corners)
    return (x1, y1, x2, y2)


def _area(box: tuple[float, float, float, float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _compatible(one: Thing, other: Thing) -> bool:
    """Things may overlap, but none may hide half of another, and none stands in a crowd."""
    width = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
    height = min(one.box[3], other.box[3]) - max(one.box[1], other.box[1])
    shared = max(width, 0) * max(height, 0)
    most = 0.0 if other.crowd else 0.4
    return shared <= most * min(_area(one.box), _area(other.box))


def _write_split(folder: Path, split: Data) -> None:
    from PIL import Image

    images, annotations = [], []
    for record in split.records:
        assert record.draw is not None
        Image.fromarray(record.draw()).save(folder / "images" / record.name, compress_level=1)
        images.append(
            {
                "id": record.image_id,
                "file_name": record.name,
                "width": record.width,
                "height": record.height,
            }
        )
        rows = zip(record.boxes.tolist(), record.labels.tolist(), record.crowd, strict=True)
        for (x1, y1, x2, y2), label, crowd in rows:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": record.image_id,
                    "category_id": split.category_ids[label],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": int(crowd),
                }
            )
    named = zip(split.category_ids, split.classes, strict=True)
    categories = [{"id": number, "name": name} for number, name in named]
    whole = {"images": images, "annotations": annotations, "categories": categories}
    (folder / f"{split.split}.json").write_text(json.dumps(whole))
