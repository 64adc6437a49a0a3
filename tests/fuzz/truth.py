"""What a damaged data set says, read again by other means than Kedge's: the standard library, numpy
and Pillow. Each reader yields (stem of the image, class or None, corners as written)."""

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np

Said = tuple[str, str | None, tuple[float, float, float, float]]


def text_of(file: Path) -> str:
    content = file.read_bytes()
    for mark, name in ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"),
                       (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):  # fmt: skip
        if content.startswith(mark):
            return content.decode(name)
    odd, even = content[1:64:2].count(0), content[0:64:2].count(0)
    if odd > 10 and even == 0:  # zeros at both kinds of places are no text that is known
        return content.decode("utf-16-le")
    if even > 10 and odd == 0:
        return content.decode("utf-16-be")
    return content.decode("utf-8-sig")


def stem_of(name: Any) -> str:
    base = (
        unquote(_printable(str(name)).split("?")[0])
        .replace("\\", "/")
        .rstrip("/")
        .rsplit("/", 1)[-1]
    )
    base = unicodedata.normalize("NFC", base.strip()).casefold()
    return base.rsplit(".", 1)[0] if "." in base else base


def real(value: Any) -> float:
    if value is None or value == "" or isinstance(value, (bool, list, dict)):
        return math.nan
    try:
        return float(value)
    except (ValueError, TypeError, OverflowError):
        return math.nan


def _lines(file: Path) -> list[str]:
    return text_of(file).replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _files(folder: Path, *endings: str) -> list[Path]:
    return [p for p in folder.rglob("*") if p.suffix.lower() in endings and p.is_file()]


def _key(value: Any) -> Any:
    number = real(value)
    if isinstance(value, bool):
        return str(value)
    return value if math.isnan(number) else number


def _xywh(values: Any) -> tuple[float, float, float, float]:
    x, y, w, h = (real(value) for value in values[:4])
    return (x, y, x + w, y + h)


def coco(folder: Path) -> Iterator[Said]:
    for file in _files(folder, ".json"):
        said = json.loads(text_of(file))
        names = {
            _key(i.get("id")): i.get("file_name") for i in said["images"] if isinstance(i, dict)
        }
        classes = {
            _key(c.get("id")): c.get("name") for c in said["categories"] if isinstance(c, dict)
        }
        for entry in said.get("annotations", []):
            box = entry.get("bbox") if isinstance(entry, dict) else None
            if isinstance(box, list) and len(box) == 4:
                name = names.get(_key(entry.get("image_id")))
                label = classes.get(_key(entry.get("category_id")))
                yield stem_of(name), str(label), _xywh(box)


def _size(folder: Path, stem: str) -> list[tuple[int, int]]:
    from PIL import Image

    found = []
    for file in _files(folder, ".png"):
        if stem_of(file.name) == stem:
            try:
                with Image.open(file) as image:
                    found.append(image.size)
            except Exception:
                continue
    return found


def yolo(folder: Path) -> Iterator[Said]:
    for file in _files(folder, ".txt"):
        stem = stem_of(file.name)
        rows = []
        try:
            rows = _lines(file)
        except UnicodeDecodeError:
            continue
        for width, height in _size(folder, stem):
            for line in rows:
                values = [real(word) for word in line.split()]
                if len(values) < 5:
                    continue
                x, y, w, h = values[1:5]
                yield stem, None, ((x - w / 2) * width, (y - h / 2) * height,
                                   (x + w / 2) * width, (y + h / 2) * height)  # fmt: skip
                xs, ys = values[1::2], values[2::2]
                if ys:
                    yield stem, None, (min(xs) * width, min(ys) * height,
                                       max(xs) * width, max(ys) * height)  # fmt: skip


def voc(folder: Path) -> Iterator[Said]:
    for file in _files(folder, ".xml"):
        try:
            root = ElementTree.fromstring(file.read_bytes())
        except (ElementTree.ParseError, LookupError, ValueError):
            continue
        for item in root.findall("object"):
            box = item.find("bndbox")
            if box is None:
                continue
            x, y, X, Y = (real(box.findtext(key)) for key in ("xmin", "ymin", "xmax", "ymax"))
            corners = (min(x, X) - 1, min(y, Y) - 1, max(x, X), max(y, Y))
            for stem in {stem_of(file.name), stem_of(root.findtext("filename") or "")}:
                yield stem, (item.findtext("name") or "").strip(), corners


def npz(folder: Path) -> Iterator[Said]:
    for file in _files(folder, ".npz"):
        with np.load(file, allow_pickle=False) as t:
            columns = [t[key].tolist() for key in ("image_id", "category_id", "x", "y", "w", "h")]
            names = t["category_names"].tolist()
        for image, label, *box in zip(*columns):
            if label == int(label) and 0 <= label < len(names):
                yield f"image {int(image)}", str(names[int(label)]), _xywh(box)


def table(folder: Path) -> Iterator[Said]:
    codes = {}
    for file in _files(folder, ".csv"):
        if "descriptions" in file.name.lower() and file.parent == folder:
            rows = [line.split(",", 1) for line in _lines(file) if "," in line]
            codes = {a.strip(): b.strip().strip('"') for a, b in rows}
    for file in _files(folder, ".csv", ".jsonl", ".parquet"):
        if "descriptions" in file.name.lower():
            continue
        for row in _rows(file):
            low = {
                re.sub("[_ -]", "", str(k).strip().lower()): v
                for k, v in row.items()
                if k is not None
            }
            image = next((low[k] for k in ("filename", "imageid", "image") if k in low), None)
            label = next((low[k] for k in ("class", "label", "labelname") if k in low), "object")
            label = codes.get(label, label)
            if "xmin" in low or "x1" in low:
                keys = (
                    ("xmin", "ymin", "xmax", "ymax") if "xmin" in low else ("x1", "y1", "x2", "y2")
                )
                corners = tuple(real(low.get(key)) for key in keys)
            else:
                corners = _xywh([low.get(key) for key in "xywh"])
            sizes = [(real(low.get("width")), real(low.get("height")))]
            sizes += _size(folder, stem_of(image))
            label = "" if label is None else str(label)
            yield stem_of(image), label, corners
            for width, height in sizes:
                yield (
                    stem_of(image),
                    label,
                    tuple(c * s for c, s in zip(corners, (width, height) * 2)),
                )


def _rows(file: Path) -> Iterator[dict]:
    if file.suffix == ".jsonl":
        for line in text_of(file).split("\n"):
            if line.strip():
                yield json.loads(line)
        return
    if file.suffix == ".parquet":
        import polars

        yield from polars.read_parquet(file, glob=False).to_dicts()
        return
    text = text_of(file).lstrip("\r\n")
    first = text.split("\n", 1)[0]
    mark = max(",;\t", key=first.count)
    cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=mark), [])
    keras = len(cells) == 6 and all(_spells_a_number(cell) for cell in cells[1:5] if cell)
    names = ["filename", "x1", "y1", "x2", "y2", "class"] if keras else None
    for row in csv.DictReader(io.StringIO(text, newline=""), names, delimiter=mark):
        if mark == ";":
            pointed = {k: v.replace(",", ".", 1) for k, v in row.items() if isinstance(v, str)}
            row |= {k: v for k, v in pointed.items() if _spells_a_number(v)}
        yield row


def _spells_a_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def kitti(folder: Path) -> Iterator[Said]:
    for file in _files(folder, ".txt"):
        for line in _lines(file):
            words = line.split()
            if len(words) >= 8:
                label = None if words[0] == "DontCare" else words[0]
                yield stem_of(file.name), label, tuple(real(word) for word in words[4:8])


def visdrone(folder: Path) -> Iterator[Said]:
    for file in _files(folder, ".txt"):
        for line in _lines(file):
            words = line.strip().rstrip(",").split(",")
            if len(words) >= 4:
                yield stem_of(file.name), None, _xywh(words)


def wider_face(folder: Path) -> Iterator[Said]:
    for file in _files(folder, ".txt"):
        stem = ""
        rows = [line for line in _lines(file) if line.strip()]
        for line, following in zip(rows, [*rows[1:], ""]):
            words = line.split()
            if len(words) >= 8:
                yield stem, "face", _xywh(words)
            if following.strip().isdigit():
                stem = stem_of(line)


def labelme(folder: Path) -> Iterator[Said]:
    for file in _files(folder, ".json"):
        try:
            said = json.loads(text_of(file))
        except (ValueError, RecursionError):
            continue
        if not isinstance(said, dict) or not isinstance(said.get("shapes"), list):
            continue
        for shape in said["shapes"]:
            try:
                points = [(real(x), real(y)) for x, y in shape["points"]]
                xs, ys = zip(*points)
                corners = (min(xs), min(ys), max(xs), max(ys))
            except (TypeError, ValueError, KeyError):
                continue
            yield stem_of(said.get("imagePath")), str(shape.get("label")), corners


def odgt(folder: Path) -> Iterator[Said]:
    for file in _files(folder, ".odgt"):
        for line in text_of(file).split("\n"):
            said = json.loads(line) if line.strip() else {}
            for entry in said.get("gtboxes", []) if isinstance(said, dict) else []:
                box = entry.get("fbox") if isinstance(entry, dict) else None
                if isinstance(box, list) and len(box) == 4:
                    yield stem_of(said.get("ID")), "person", _xywh(box)


def hugging_face(folder: Path) -> Iterator[Said]:
    for file in _files(folder, ".jsonl"):
        for line in text_of(file).split("\n"):
            said = json.loads(line) if line.strip() else {}
            objects = said.get("objects") if isinstance(said, dict) else None
            for box in (objects.get("bbox") or []) if isinstance(objects, dict) else []:
                if isinstance(box, list) and len(box) == 4:
                    yield stem_of(said.get("file_name")), None, _xywh(box)


READERS = {
    "COCO JSON": coco, "YOLO": yolo, "Pascal VOC": voc, "boxes without images": npz,
    "table of boxes": table, "KITTI": kitti, "VisDrone": visdrone, "WIDER FACE": wider_face,
    "LabelMe": labelme, "CrowdHuman": odgt, "Hugging Face": hugging_face,
}  # fmt: skip


def wrong_boxes(data: Any, folder: Path) -> list[str] | None:
    """What is wrong with what was kept; None where the files could not be read a second time."""
    found = [text for record in data.records for text in _unsound(record, data, folder)]
    if found or not data.num_boxes:
        return found
    try:
        said = list(READERS[data.format](folder))
    except Exception:
        return None
    by_stem: dict[str, list[Said]] = {}
    for one in said:
        by_stem.setdefault(one[0], []).append(one)
    for record in data.records:
        stem = record.name if data.format == "boxes without images" else stem_of(record.name)
        names = {stem} | ({stem_of(record.file.name)} if record.file else set())
        candidates = [one for name in names for one in by_stem.get(name, [])]
        for box, label in zip(record.boxes, record.labels):
            if not any(_same(one, box, data.classes[label], record) for one in candidates):
                found.append(
                    f"{record.name}: {box.tolist()} {data.classes[label]!r} is said nowhere"
                )
    return found


def _unsound(record: Any, data: Any, folder: Path) -> Iterator[str]:
    boxes = record.boxes
    size = np.array([record.width or np.inf, record.height or np.inf] * 2)
    if not np.isfinite(boxes).all() or not (boxes[:, 2:] > boxes[:, :2]).all():
        yield f"{record.name}: not finite, or without area: {boxes.tolist()}"
    if (boxes < 0).any() or (boxes > size).any():
        yield f"{record.name}: outside of {size[:2]}: {boxes.tolist()}"
    if len(record.labels) != len(boxes) or len(record.crowd) != len(boxes):
        yield f"{record.name}: {len(boxes)} boxes, {len(record.labels)} labels"
    if ((record.labels < 0) | (record.labels >= len(data.classes))).any():
        yield f"{record.name}: labels {record.labels.tolist()} of {len(data.classes)} classes"
    if record.file is not None and not record.file.resolve().is_relative_to(folder.resolve()):
        yield f"{record.name}: {record.file} lies outside of the folder"


def _same(one: Said, box: np.ndarray, label: str, record: Any) -> bool:
    if one[1] is not None and _printable(one[1]) != label:
        return False
    corners = np.array(one[2])
    size = np.array([record.width or np.inf, record.height or np.inf] * 2, float)
    low, high = np.minimum(corners[:2], corners[2:]), np.maximum(corners[:2], corners[2:])
    kept = np.clip(np.concatenate([low, high]), 0, size)
    return bool(np.allclose(kept, box, rtol=1e-5, atol=1e-3))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
