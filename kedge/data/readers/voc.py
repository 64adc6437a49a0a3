"""Pascal VOC: one XML file an image."""

from dataclasses import replace
from pathlib import Path

from kedge.data.checks import finish
from kedge.data.images import SUFFIXES
from kedge.data.leftovers import other_endings
from kedge.data.names import inside, is_file
from kedge.data.problems import Problems
from kedge.data.raw import Ask, RawImage, Rows
from kedge.data.readers.voc_find import Place, find, lists, place_of
from kedge.data.readers.voc_images import image_files
from kedge.data.readers.voc_xml import Page, read_page
from kedge.data.records import Data
from kedge.data.turned import MESSAGE
from kedge.parse import read_lines

__all__ = ["LOOKED_FOR", "find", "read"]

LOOKED_FOR = (
    "Pascal VOC: *.xml in Annotations/ or beside the images, with JPEGImages/ or images/ (and "
    "ImageSets/Main/*.txt, or train/, valid/, test/)"
)


def read(folder: Path, ask: Ask) -> Data:
    """Read a VOC folder, or the images of one list in ImageSets/Main.

    Coordinates are VOC's: pixel numbers from 1, both ends included, so that the box is
    (xmin - 1, ymin - 1, xmax, ymax) in continuous coordinates. Files that count from 0 come
    out one pixel up and left of where they say, within the tolerance of the checks. Classes
    are the names found in the *whole* set, sorted. `difficult` objects become `crowd`:
    neither object nor background, as VOC's own evaluation treats them.
    """
    place = place_of(folder)
    assert place is not None
    own = [base for base in place.bases if inside(ask.root, base, ".") is not None]
    place = replace(place, bases=own or [ask.root])
    problems = Problems(folder, ask.on_bad_box)
    pages = _pages(place, ask, problems)
    names = {o.name for page in pages.values() for o in page.objects}
    chosen = lists(folder).get(ask.split or "")
    if chosen is None:
        names |= _names_elsewhere(folder, ask)
    else:
        pages = _of_split(pages, place, chosen, problems)
    classes = sorted(names)
    files = image_files(pages, place, ask, problems)
    images, rows = _table(pages, files, {name: i for i, name in enumerate(classes)}, problems)
    if chosen is None and own:
        _say_unused(place, set(files.values()), ask.root, problems)
    return finish(
        images,
        rows.pack(),
        problems,
        ask,
        format="Pascal VOC",
        classes=tuple(classes),
        said=len(place.files if chosen is None else pages),
    )


def _pages(place: Place, ask: Ask, problems: Problems) -> dict[str, Page]:
    """Every XML file, parsed, by its path below the folder of XML files without ending."""
    pages = {}
    for file in place.files:
        if not any(inside(base, file.parent, file.name) for base in (ask.path, ask.root)):
            message = f"the annotation is a link out of the data folder {ask.path}"
            problems.refuse("path outside the folder", file.name, "", message)
            continue
        page = read_page(file, problems)
        if page is not None:
            pages[str(file.relative_to(place.xml).with_suffix(""))] = page
    nested = [page.file.name for page in pages.values() for _ in range(page.nested)]
    message = "an <object> that does not stand directly below <annotation> is not read"
    problems.unused("nested object", nested, message)
    return pages


def _names_elsewhere(folder: Path, ask: Ask) -> set[str]:
    """Class names of the set's other folders (train, valid, test)."""
    others = [other for other in set(find(ask.path).values()) if other != folder]
    quiet = Problems(folder, "drop")
    places = [place for other in others if (place := place_of(other)) is not None]
    pages = [page for place in places for page in _pages(place, ask, quiet).values()]
    return {o.name for page in pages for o in page.objects}


def _of_split(
    pages: dict[str, Page], place: Place, file: Path, problems: Problems
) -> dict[str, Page]:
    chosen: dict[str, Page] = {}
    for number, line in enumerate(read_lines(file), start=1):
        if not line.strip():
            continue
        name, where = _listed(line, pages), f"line {number} of {file.name}"
        if name in chosen:
            problems.add("duplicate image id", name, where, "listed twice: list it once")
        elif name in pages:
            chosen[name] = pages[name]
        elif inside(place.folder, place.xml, f"{name}.xml") is None:
            message = f"the path leaves the data folder {place.folder}"
            problems.refuse("path outside the folder", name, where, message)
        elif not is_file(place.xml / f"{name}.xml"):  # else it was unreadable, and reported
            problems.add("missing annotation", name, where, "there is no such XML file")
    return chosen


def _listed(line: str, pages: dict[str, Page]) -> str:
    """The name in a line: with spaces, an ending, a folder or a class's mark ("1", "-1") or not."""
    text = line.strip()
    unmarked = text.rsplit(None, 1)[0] if text.split()[-1] in ("1", "-1", "0") else text
    for name in (text, unmarked):
        base = "" if ".." in name else name.replace("\\", "/").rsplit("/", 1)[-1]
        for candidate in (name, name.rsplit(".", 1)[0], base, base.rsplit(".", 1)[0]):
            if candidate in pages:
                return candidate
    return unmarked


def _table(
    pages: dict[str, Page], files: dict[str, Path], labels: dict[str, int], problems: Problems
) -> tuple[list[RawImage], Rows]:
    images: list[RawImage] = []
    rows = Rows()
    lost = 0
    turned: list[tuple[str, str]] = []
    for key, page in pages.items():
        if key not in files:
            lost += len(page.objects)
            continue
        for item in page.objects:
            where = f"object {item.number} ({item.name})"
            if item.box is not None:
                rows.add(len(images), item.box, labels[item.name], where, item.difficult)
                turned += [(files[key].name, where)] if item.turned else []
                continue
            message = "bndbox lacks xmin, ymin, xmax or ymax, or one is no number"
            if item.turned:
                message = "robndbox lacks cx, cy, w, h or angle, or one is no number"
            problems.add("no box", files[key].name, f"object {item.number}", message)
        images.append(
            RawImage(
                name=files[key].name,
                file=files[key],
                image_id=len(images),
                width=page.width,
                height=page.height,
            )
        )
    problems.lost_with_images(lost)
    if turned:
        image, where = turned[0]
        problems.note("rotation", image, where, MESSAGE, count=len(turned))
    return images, rows


def _say_unused(place: Place, used: set[Path], root: Path, problems: Problems) -> None:
    base = place.bases[0]
    every = sorted(base.rglob("*")) if base != place.folder else sorted(base.iterdir())
    other_endings(every, root, problems)
    images = [p for p in every if p.suffix.lower() in SUFFIXES and p.is_file()]
    unused = [str(p.relative_to(root)) for p in images if p.resolve() not in used]
    problems.unused("image without an annotation", unused, "no XML file tells of these")
