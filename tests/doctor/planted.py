"""Small data sets on disk, each broken in one way: what the doctor's cures are applied to."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kedge.data import read
from kedge.doctor import Context, of_detector
from kedge.doctor.data_checks.box_format import written

H, W = 200, 300
NAMES = ("cat", "dog", "fish")
Row = Sequence[float]


def coco(folder: Path, images: Sequence[Any], labels: Any = None, split: str = "train") -> Path:
    """A COCO folder with ``images``: boxes (n, 4) xywh of each, one colour an image."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    page: dict[str, Any] = {"images": [], "annotations": []}
    page["categories"] = [{"id": i, "name": name} for i, name in enumerate(NAMES)]
    for i, rows in enumerate(images):
        name = f"{split}{i:03d}.png"
        colour = (i % 256, i // 256, 7 * len(split))
        Image.new("RGB", (W, H), colour).save(folder / "images" / name)
        page["images"].append({"id": i, "file_name": name, "height": H, "width": W})
        for k, row in enumerate(rows):
            label = 0 if labels is None else labels[i][k]
            entry = {"id": len(page["annotations"]), "image_id": i, "category_id": int(label)}
            page["annotations"].append(entry | {"bbox": [float(value) for value in row]})
    (folder / f"{split}.json").write_text(json.dumps(page))
    return folder


def context_of(folder: Path, split: str = "train", detector: str | None = None) -> Context:
    """What the doctor looks at, in an input of the images' size."""
    size = (H // 32 * 32, W // 32 * 32)
    setup = None if detector is None else of_detector(detector, size)
    data = read(folder, split, "drop")
    return Context(data=data, setup=setup, input_size=(H, W), words={"data": str(folder)})


def edit(folder: Path, change: Callable[[dict[str, Any]], None], split: str = "train") -> None:
    """Change the page of annotations in place."""
    file = folder / f"{split}.json"
    page = json.loads(file.read_text())
    change(page)
    file.write_text(json.dumps(page))


def numbers(folder: Path) -> Iterator[tuple[str, list[float]]]:
    """Image and the four numbers of every box, as the files of a COCO or YOLO folder hold them."""
    if (folder / "train.json").exists():
        page = json.loads((folder / "train.json").read_text())
        names = {image["id"]: image["file_name"] for image in page["images"]}
        for entry in page["annotations"]:
            yield names[entry["image_id"]], entry["bbox"]
        return
    for file in sorted((folder / "labels").rglob("*.txt")):
        for line in file.read_text().splitlines():
            yield file.stem, [float(word) for word in line.split()[1:]]


def rewrite(folder: Path, change: Callable[[str, list[float]], Sequence[float]]) -> None:
    """Write four other numbers for every box."""
    rows = [change(name, row) for name, row in numbers(folder)]
    if (folder / "train.json").exists():

        def put(page: dict[str, Any]) -> None:
            for entry, row in zip(page["annotations"], rows, strict=True):
                entry["bbox"] = list(row)

        return edit(folder, put)
    rest = iter(rows)
    for file in sorted((folder / "labels").rglob("*.txt")):
        lines = [f"0 {' '.join(map(repr, map(float, next(rest))))}" for _ in file.open()]
        file.write_text("\n".join(lines))
    return None


def sound(images: int = 12, each: int = 6, seed: Any = 0) -> list[np.ndarray]:
    """Random boxes (each, 4) xyxy inside their images; ``seed``: a number or a generator."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(images):
        side = rng.uniform(8, 80, (each, 2))
        corner = rng.random((each, 2)) * (np.array([W, H]) - side)
        out.append(np.concatenate([corner, corner + side], axis=1))
    return out


SCALE = np.array([W, H, W, H])


def _in_form(form: str, folder: Path, every: int = 1, share: bool = False) -> Context:
    """Boxes of every so many images in another form, or as shares of the image."""
    rows = [
        written(b, form) / (SCALE if share else 1) if i % every == 0 else written(b, "xywh")
        for i, b in enumerate(sound(40))
    ]
    return context_of(coco(folder, rows))


def _pixels_in_yolo(folder: Path, every: int = 1) -> Context:
    for part in ("images", "labels"):
        (folder / part / "train").mkdir(parents=True)
    for i, boxes in enumerate(sound(8)):
        Image.new("RGB", (W, H), (i, 0, 0)).save(folder / "images" / "train" / f"{i}.png")
        rows = written(boxes, "cxcywh") / (1 if i % every == 0 else SCALE)
        lines = ["0 " + " ".join(map(repr, row)) for row in rows.tolist()]
        (folder / "labels" / "train" / f"{i}.txt").write_text("\n".join(lines))
    (folder / "data.yaml").write_text("train: images/train\nnames: [thing]\n")
    return context_of(folder)


def _with(folder: Path, *bad: Row, detector: str | None = None) -> Context:
    """Sound boxes, and bad ones in one of the images."""
    rows = [written(b, "xywh").tolist() for b in sound(20)]
    rows[3] += map(list, bad)
    return context_of(coco(folder, rows), detector=detector)


def _nan(folder: Path) -> Context:
    _with(folder, [1, 1, 1, 1], [2, 2, 1, 1])

    def spoil(page: dict[str, Any]) -> None:
        for entry in page["annotations"]:
            if entry["bbox"][2:] == [1, 1]:
                entry["bbox"][2] = None

    edit(folder, spoil)
    return context_of(folder)


def _many(folder: Path, rows: list[tuple[int, int]], most: int | None = None) -> Context:
    """Images with so many objects of the first and of the second class, side by side."""
    images, labels = [], []
    for first, second in rows:
        place = np.arange(first + second)
        corner = 10 * np.stack([place % 30, place // 30], axis=1)
        images.append(np.concatenate([corner, np.full_like(corner, 8)], axis=1))
        labels.append([0] * first + [1] * second)
    if most is None:
        return context_of(coco(folder, images, labels))
    context = context_of(coco(folder, images, labels), detector="retinanet")
    assert context.setup is not None
    return replace(context, setup=replace(context.setup, most=most))


def _rare(folder: Path) -> Context:
    """Of forty images one has a dog, two have fish, eight nothing at all."""
    images = [written(b, "xywh") for b in sound(40, each=2)]
    images[32:] = [np.zeros((0, 4))] * 8
    labels = [[0, 0]] * 30 + [[0, 1], [2, 2]] + [[]] * 8
    return context_of(coco(folder, images, labels))


def _close(folder: Path, detector: str | None = None) -> Context:
    """Twelve objects about one place in each image, and some apart."""
    near = [[100 + 3 * i, 90 + 2 * i, 4, 3] for i in range(12)]
    apart = [[60 * i, 10, 40, 30] for i in range(4)]
    rest = [written(b, "xywh") for b in sound(8)]
    return context_of(coco(folder, [near + apart, near, *rest]), detector=detector)


def _copies(folder: Path) -> Context:
    """A box three times, and a row of three of which the outer two are no pair."""
    row = [[20 + x, 30, 100, 40] for x in (9, 0, 18)]
    return _with(folder, *row, *row[:2], *[[200, 100, 60, 50]] * 3)


def _same_files(folder: Path) -> Context:
    _with(folder)
    for copy in ("train004.png", "train009.png"):
        shutil.copyfile(folder / "images" / "train002.png", folder / "images" / copy)
    return context_of(folder)


def _files(folder: Path) -> Context:
    """One image missing, one cut off, one of another size, a box of no known class."""
    _with(folder)
    (folder / "images" / "train001.png").unlink()
    broken = folder / "images" / "train002.png"
    broken.write_bytes(broken.read_bytes()[:40])
    Image.new("RGB", (W // 2, H // 2)).save(folder / "images" / "train003.png")
    edit(folder, lambda page: page["annotations"][-1].update(category_id=99))
    return context_of(folder)


def _leaking(folder: Path, split: str = "train") -> Context:
    _with(folder)
    coco(folder, [written(b, "xywh") for b in sound(5, seed=1)], split="val")
    for i in (1, 3):
        source = folder / "images" / f"train00{i}.png"
        shutil.copyfile(source, folder / "images" / f"val00{i}.png")
    return context_of(folder, split)


def _tiny(folder: Path) -> Context:
    """Slivers, and objects that a small input makes smaller than a pixel."""
    context = _with(folder, [5, 5, 0.5, 30], [9, 9, 4, 40], [50, 60, 3, 3], [80, 80, 5, 5])
    return Context(data=context.data, input_size=(32, 64), words=context.words)


PLANTED: dict[str, Callable[[Path], Context]] = {
    "xyxy": lambda f: _in_form("xyxy", f),
    "cxcywh": lambda f: _in_form("cxcywh", f),
    "xyxy in some images": lambda f: _in_form("xyxy", f, every=4),
    "shares": lambda f: _in_form("cxcywh", f, share=True),
    "shares in some images": lambda f: _in_form("xywh", f, every=4, share=True),
    "pixels in YOLO": _pixels_in_yolo,
    "pixels in some files of YOLO": lambda f: _pixels_in_yolo(f, every=4),
    "NaN": _nan,
    "no width": lambda f: _with(f, [10, 10, 0, 5], [9, 9, 5, 0]),
    "flipped": lambda f: _with(f, [50, 60, -20, -30], [90, 60, -20, 30]),
    "beyond the border a little": lambda f: _with(f, [280, 10, 25, 20], [10, -5, 50, 60]),
    "beyond the border by most": lambda f: _with(f, [290, 10, 90, 20], [400, 300, 5, 5]),
    "many of a class": lambda f: _many(f, [(150, 0), (3, 0)]),
    "many of two classes": lambda f: _many(f, [(150, 40), (80, 60)], 100),
    "too many in one image, of a class in another": lambda f: _many(f, [(99, 99), (130, 0)], 150),
    "rare classes": _rare,
    "close together": _close,
    "close together for YOLOv2": lambda f: _close(f, "yolov2"),
    "boxes repeated": _copies,
    "boxes nearly repeated": lambda f: _with(f, *[[20 + x, 30, 100, 40] for x in (0, 18, 9)]),
    "files repeated": _same_files,
    "files amiss": _files,
    "train in val": _leaking,
    "val in train": lambda f: _leaking(f, "val"),
    "tiny": _tiny,
}
