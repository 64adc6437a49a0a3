"""Tables of boxes with their images: TensorFlow, Roboflow, Open Images, VoTT, keras-retinanet."""

from pathlib import Path

from kedge.counted import count
from kedge.data.problems import Problems
from kedge.data.raw import Ask
from kedge.data.readers.named import NamedBox, NamedImage, finish_named, size_of
from kedge.data.records import Data
from kedge.data.split_names import split_in
from kedge.parse import read_lines
from kedge.parse.boxes_table import TableOfBoxes, read_boxes_table
from kedge.parse.table_file import ENDINGS, Column

LOOKED_FOR = (
    "tables with a row a box (.csv as TensorFlow, Roboflow, Open Images, VoTT and keras-retinanet "
    "write them; .parquet)"
)
_MOST = 20  # a folder with more .csv files holds something else


def find(path: Path) -> dict[str, Path]:
    """The tables of boxes of a folder by split ("train_labels.csv", "valid/_annotations.csv"), or
    a single file as {"": file}."""
    if not path.is_dir():
        return {"": path} if path.suffix.lower() in ENDINGS else {}
    files = [p for pattern in ("*.csv", "annotations/*.csv", "*/_annotations.csv", "*.parquet")
             for p in sorted(path.glob(pattern)) if not _is_description(p)]  # fmt: skip
    if len(files) > _MOST:
        return {}
    tables = [file for file in files if _is_table(file)]
    named = {_split_of(file): file for file in tables}
    if len(named) < len(tables):
        return {file.stem: file for file in tables}
    return {"": tables[0]} if len(tables) == 1 and set(named) - {"train", "val", "test"} else named


def _is_description(file: Path) -> bool:
    return "class-descriptions" in file.name.lower() and file.suffix.lower() == ".csv"


def _split_of(file: Path) -> str:
    stem = file.parent.name if file.name == "_annotations.csv" else file.stem
    return split_in(stem) or file.stem


def _is_table(file: Path) -> bool:
    try:
        return len(read_boxes_table(file)) > 0
    except ValueError as problem:
        return "column" in str(problem) and "lacks" not in str(problem)


def read(file: Path, ask: Ask) -> Data:
    """Read one table. Classes are the names in all tables of the folder, sorted (an Open Images
    code by its name where class-descriptions.csv is there). Coordinates from 0 to 1 are shares of
    the image. Where no image lies in the folder and the sizes are said, the boxes are read alone.
    """
    problems = Problems(file, ask.on_bad_box)
    table = read_boxes_table(file)
    if len(table) == 0:
        raise ValueError(f"{file}: holds no rows")
    names = _descriptions(file.parent)
    names = _descriptions(ask.root) if names is None else names
    if table.shares:
        message = "all coordinates lie between 0 and 1: taken as shares of the image's sides"
        problems.note("coordinates as shares", "", "", message, count=len(table))
    codes = set(_words(table.label)) - names.keys() if names is not None else set()
    if codes and table.label is not None:
        said = f"{count(len(codes), 'code')} of the table, the first {min(codes)!r}"
        message = f"class-descriptions.csv has no name for {said}"
        problems.note("code without a name", "", "", message, count=len(codes))
    images = _images(table, names or {}, problems)
    classes = {box.label for image in images for box in image.boxes}
    for other in find(ask.path).values() if ask.splits else ():
        if other != file:
            try:
                rows = read_boxes_table(other)
            except ValueError as problem:
                problems.note("split that cannot be read", "", "", str(problem))
                continue
            classes |= {(names or {}).get(name, name) for name in _words(rows.label)}
    bases = [file.parent / "images", file.parent, ask.root / "images", ask.root]
    if ask.split:
        bases = [ask.root / "images" / ask.split, ask.root / ask.split, *bases]
    return finish_named(
        images,
        bases,
        problems,
        ask,
        format="table of boxes",
        classes=sorted(classes - {""}),
        without_files=True,
    )


def _images(table: TableOfBoxes, names: dict[str, str], problems: Problems) -> list[NamedImage]:
    found: dict[str, NamedImage] = {}
    labels = _words(table.label) if table.label is not None else ["object"] * len(table)
    for row, name in enumerate(_words(table.image)):
        where = f"row {table.line[row]}"
        if not name.strip():
            problems.add("unreadable record", "", where, "the row names no image")
            continue
        size = size_of(*(None if side != side else side for side in table.size[row, ::-1].tolist()))
        if size is None:
            message = f"the image's size is {table.size[row, ::-1].tolist()}"
            problems.add("unreadable record", name, where, message)
            continue
        image = found.setdefault(name, NamedImage(name, where, *size))
        if size != (image.width, image.height):
            message = f"{size[0]} x {size[1]} here, {image.width} x {image.height} in {image.where}"
            problems.add("sizes that disagree", name, where, message)
            continue
        image.shares |= table.shares and 0 in size
        if table.blank[row]:
            continue
        label = names.get(labels[row], labels[row])
        if not label:
            problems.add("unknown category", name, where, "the row has a box and no class")
            continue
        corners = tuple(table.xyxy[row].tolist())
        image.boxes.append(NamedBox(corners, label, where, bool(table.crowd[row])))
    return list(found.values())


def _words(column: Column | None) -> list[str]:
    if column is None:
        return ["object"]
    return ["" if value is None else str(value) for value in column]


def _descriptions(folder: Path) -> dict[str, str] | None:
    """Names of Open Images' codes ("/m/01g317,Person"); None where the folder does not say them."""
    files = sorted(p for p in folder.iterdir() if _is_description(p))
    if not files:
        return None
    pairs = [line.split(",", 1) for file in files[:1] for line in read_lines(file) if "," in line]
    return {code.strip(): name.strip().strip('"') for code, name in pairs}
