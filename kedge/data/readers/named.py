"""For readers of annotations that name images and classes in words: collect, then finish."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kedge.data.checks import finish
from kedge.data.image_checks import check_images
from kedge.data.images import SUFFIXES
from kedge.data.places import locate
from kedge.data.problems import Problems
from kedge.data.raw import Ask, RawImage, Rows
from kedge.data.records import Data
from kedge.parse import number

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class NamedBox:
    """A box, xyxy; the name of its class; and where it stands in the file."""

    xyxy: Box
    label: str
    where: str
    crowd: bool = False


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
    labels = {name: i for i, name in enumerate(names)}
    quiet = Problems(problems.source, ask.on_bad_box)
    places = [place for place in bases if place.is_dir()] or [ask.root]
    files = locate(ask.root, places, [(i.name, i.where) for i in found], quiet, SUFFIXES)
    boxes_only = without_files and found and not any(files) and all(i.width for i in found)
    if boxes_only:
        message = "not one image lies in the folder: read as boxes without images"
        problems.note("no image files", found[0].name, "", message, count=len(found))
    else:
        problems.findings += quiet.findings
        problems.fatal += quiet.fatal
    kept = [(image, file) for image, file in zip(found, files) if file is not None or boxes_only]
    problems.lost_with_images(_boxes(found) - _boxes([image for image, _ in kept]))
    images = [
        RawImage(name=i.name, file=file, image_id=n, width=i.width, height=i.height)
        for n, (i, file) in enumerate(kept)
    ]
    shares = any(image.shares for image in found)
    if shares:  # their pixels depend on the size of the file
        sound = check_images(images, problems)
        problems.lost_with_images(
            _boxes([i for (i, _), is_sound in zip(kept, sound) if not is_sound])
        )
        kept = [pair for pair, is_sound in zip(kept, sound) if is_sound]
        images = [image for image, is_sound in zip(images, sound) if is_sound]
    rows = Rows()
    for n, (image, _) in enumerate(kept):
        width, height = (images[n].width, images[n].height) if image.shares else (1, 1)
        for box in image.boxes:
            x1, y1, x2, y2 = box.xyxy
            corners = (x1 * width, y1 * height, x2 * width, y2 * height)
            rows.add(n, corners, labels[box.label], box.where, box.crowd)
    return finish(
        images,
        rows.pack(),
        problems,
        ask,
        format=format,
        classes=tuple(names),
        said=len(found),
        look_at_files=False if shares else None,
    )


def _boxes(images: Sequence[NamedImage]) -> int:
    return sum(len(image.boxes) for image in images)


def size_of(width: object, height: object) -> tuple[int, int] | None:
    """Width and height in pixels as an annotation says them: (0, 0) where it does not, None where
    they are no size."""
    sides = [0.0 if side in (None, "") else number(side) for side in (width, height)]
    if any(side is None or not math.isfinite(side) or not 0 <= side < 2**31 for side in sides):
        return None
    return (int(sides[0] or 0), int(sides[1] or 0))


def numbers_of(values: object, count: int) -> tuple[float, ...] | None:
    """`count` numbers of a list, typed as numbers or as text; None where it is anything else."""
    if not isinstance(values, (list, tuple)) or len(values) != count:
        return None
    found = [math.nan if value is None else number(value) for value in values]
    return None if None in found else tuple(value for value in found if value is not None)
