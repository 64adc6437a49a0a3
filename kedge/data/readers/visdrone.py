"""VisDrone: annotations/*.txt with a row an object, images/."""

from pathlib import Path

from kedge.data.problems import Problems
from kedge.data.raw import Ask
from kedge.data.readers.named import NamedBox, finish_named, images_with_rows, numbers_of
from kedge.data.records import Data
from kedge.parse import read_lines

LOOKED_FOR = "VisDrone: annotations/*.txt with images/ (or VisDrone*-train/, -val/ with both)"
CLASSES = (
    "pedestrian",
    "people",
    "bicycle",
    "car",
    "van",
    "truck",
    "tricycle",
    "awning-tricycle",
    "bus",
    "motor",
)
_IGNORED, _OTHERS = 0, 11


def find(path: Path) -> dict[str, Path]:
    """The folders of the splits, or {"": the folder itself}, or {}."""
    if not path.is_dir():
        return {}
    if _is_set(path):
        return {"": path}
    found = {}
    for folder in sorted(p for p in path.glob("VisDrone*") if p.is_dir() and _is_set(p)):
        words = folder.name.lower().split("-")
        found[next((w for w in words if w in ("train", "val", "test")), folder.name)] = folder
    return found


def _is_set(folder: Path) -> bool:
    """Rows of eight numbers with commas tell it from other .txt files."""
    files = sorted((folder / "annotations").glob("*.txt")) if (folder / "images").is_dir() else []
    for file in files[:3]:
        try:
            first = next((line for line in read_lines(file) if line.strip()), "")
        except ValueError:
            continue
        if _numbers(first) is not None:
            return True
    return False


def _numbers(line: str) -> tuple[float, ...] | None:
    return numbers_of(line.strip().rstrip(",").split(","), 8)


def read(folder: Path, ask: Ask) -> Data:
    """Read a VisDrone folder: left, top, width, height, score, category, truncation, occlusion.

    Ignored regions (category 0, or score 0) and "others" (11) become crowds.
    """
    problems = Problems(folder, ask.on_bad_box)
    images, ignored = [], 0
    for image, rows in images_with_rows(folder / "annotations", problems):
        for line, where in rows:
            values = _numbers(line)
            if values is None:
                message = "expected eight numbers with commas between them"
                problems.add("no box", image.name, where, message)
                continue
            x, y, w, h, score, category = values[:6]
            if category not in range(12):
                message = f"category {category:g}; VisDrone's are 0 to 11"
                problems.add("unknown category", image.name, where, message)
                continue
            crowd = category in (_IGNORED, _OTHERS) or score == 0
            name = CLASSES[min(max(int(category) - 1, 0), 9)]
            image.boxes.append(NamedBox((x, y, x + w, y + h), name, where, crowd))
            ignored += crowd
        images.append(image)
    if ignored:
        message = 'ignored regions and "others": crowd regions, neither object nor background'
        problems.note("ignored annotation", "", "", message, count=ignored)
    return finish_named(
        images, [folder / "images"], problems, ask, format="VisDrone", classes=CLASSES
    )
