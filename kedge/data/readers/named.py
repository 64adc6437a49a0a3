"""For readers of annotations that name images and classes in words: collect, then finish."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kedge.data.areas import areas_of
from kedge.data.checks import finish
from kedge.data.extremes import Extremes
from kedge.data.image_checks import check_images
from kedge.data.images import SUFFIXES
from kedge.data.places import locate
from kedge.data.problems import Problems
from kedge.data.raw import Ask, RawBoxes, RawImage, Rows
from kedge.data.records import Data
from kedge.parse import number, read_lines, side

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class NamedBox:
    """A box, xyxy; the name of its class; where it stands in the file; its extreme points, and the
    area of its mask (NaN for what is no number)."""

    xyxy: Box
    label: str
    where: str
    crowd: bool = False
    extremes: Extremes | None = None
    area: float | None = None


@dataclass(slots=True)
class NamedImage:
    """An image by its name, where that is said, its size where it is said, and its boxes; `shares`:
    the boxes are in shares of the image's sides."""

    name: str
    where: str = ""
    width: int = 0
    height: int = 0
    boxes: list[NamedBox] = field(default_factory=list)
    shares: bool = False


def finish_named(
    found: Sequence[NamedImage],
    bases: Sequence[Path],
    problems: Problems,
    ask: Ask,
    *,
    format: str,
    classes: Sequence[str] | None = None,
    without_files: bool = False,
) -> Data:
    """Find the images, check everything and make the data set.

    `classes`: by default the names that there are, sorted. `without_files`: where not one of the
    images lies in the folder and all sizes are said, the boxes are read without images.
    """
    names = classes
    if names is None:
        names = sorted({box.label for image in found for box in image.boxes})
    kept = _with_files(found, bases, problems, ask, without_files)
    shares = any(image.shares for image in found)
    if shares:  # their pixels depend on the size of the file
        sound = check_images([raw for _, raw in kept], problems)
        kept = [pair for pair, is_sound in zip(kept, sound) if is_sound]
    problems.lost_with_images(_boxes(found) - _boxes([image for image, _ in kept]))
    return finish(
        [raw for _, raw in kept],
        _in_pixels(kept, {name: i for i, name in enumerate(names)}, problems),
        problems,
        ask,
        format=format,
        classes=tuple(names),
        said=len(found),
        look_at_files=False if shares else None,
    )


def _with_files(
    found: Sequence[NamedImage],
    bases: Sequence[Path],
    problems: Problems,
    ask: Ask,
    without_files: bool,
) -> list[tuple[NamedImage, RawImage]]:
    """The images that can be used, each with its file, if there is one."""
    quiet = Problems(problems.source, ask.on_bad_box)
    places = [place for place in bases if place.is_dir()] or [ask.root]
    names = [(image.name, image.where) for image in found]
    files = locate(ask.root, places, names, quiet, SUFFIXES, ask.split)
    boxes_only = without_files and found and not any(files) and all(i.width for i in found)
    if boxes_only:
        message = "not one image lies in the folder: read as boxes without images"
        problems.note("no image files", found[0].name, "", message, count=len(found))
    else:
        problems.findings += quiet.findings
        problems.fatal += quiet.fatal
    kept = [(image, file) for image, file in zip(found, files) if file is not None or boxes_only]
    return [
        (i, RawImage(name=i.name, file=file, image_id=n, width=i.width, height=i.height))
        for n, (i, file) in enumerate(kept)
    ]


def _in_pixels(
    kept: Sequence[tuple[NamedImage, RawImage]], labels: dict[str, int], problems: Problems
) -> RawBoxes:
    rows = Rows()
    for n, (image, raw) in enumerate(kept):
        width, height = (raw.width, raw.height) if image.shares else (1, 1)
        for box in image.boxes:
            x1, y1, x2, y2 = box.xyxy
            corners = (x1 * width, y1 * height, x2 * width, y2 * height)
            assert box.extremes is None or not image.shares
            label = labels[box.label]
            rows.add(n, corners, label, box.where, box.crowd, box.extremes, box.area)
    boxes = rows.pack()
    boxes.area = areas_of(rows.area, boxes.where, problems)
    return boxes


def _boxes(images: Sequence[NamedImage]) -> int:
    return sum(len(image.boxes) for image in images)


def images_with_rows(
    folder: Path, problems: Problems
) -> Iterator[tuple[NamedImage, list[tuple[str, str]]]]:
    """An image for every .txt file of a folder, of the same stem, and the lines of the file that
    are not blank, each with where it stands. A file that is no text is a problem, and left out."""
    for file in sorted(folder.glob("*.txt")):
        try:
            lines = read_lines(file)
        except ValueError as problem:
            problems.add("unreadable annotation", file.name, "", str(problem))
            continue
        rows = [(line, f"line {n} of {file.name}") for n, line in enumerate(lines, start=1)]
        yield NamedImage(file.stem, file.name), [row for row in rows if row[0].strip()]


def size_of(width: object, height: object) -> tuple[int, int] | None:
    """Width and height in pixels as an annotation says them: (0, 0) where it does not, None where
    they are no size."""
    sides = side(width), side(height)
    return None if sides[0] is None or sides[1] is None else (sides[0], sides[1])


def numbers_of(values: object, count: int) -> tuple[float, ...] | None:
    """`count` numbers of a list, typed as numbers or as text; None where it is anything else."""
    if not isinstance(values, (list, tuple)) or len(values) != count:
        return None
    found = [math.nan if value is None else number(value) for value in values]
    return None if None in found else tuple(value for value in found if value is not None)
