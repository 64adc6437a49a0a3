"""Which image belongs to which XML file of a Pascal VOC set."""

from collections import Counter
from pathlib import Path

from kedge.data.images import SUFFIXES
from kedge.data.names import inside, is_file, plain
from kedge.data.places import locate
from kedge.data.problems import Problems
from kedge.data.raw import Ask
from kedge.data.readers.voc_find import Place, same_stem
from kedge.data.readers.voc_xml import Page


def image_files(
    pages: dict[str, Page], place: Place, ask: Ask, problems: Problems
) -> dict[str, Path]:
    """The image of each page: the one it names, or the one of the same stem where that name is
    stale or is what several pages say."""
    root, stems = ask.root, same_stem(place.bases, SUFFIXES)
    found: dict[str, Path] = {}
    lost = []
    said = Counter(page.filename for page in pages.values())
    for key, page in pages.items():
        bases = [page.file.parent, *place.bases]
        outside = page.filename and inside(root, place.bases[0], page.filename) is None
        names = [] if outside or said[page.filename] > 1 else [page.filename]
        paths = [inside(root, base, name) for name in names if name for base in bases]
        if not outside:
            paths += [inside(root, p.parent, p.name) for p in _of_stem(key, page, stems)]
        path = next((path for path in paths if path is not None and is_file(path)), None)
        if path is None:
            lost.append(key)
        else:
            found[key] = path
    names = [(pages[key].filename or f"{pages[key].file.stem}.jpg", "") for key in lost]
    located = locate(root, place.bases, names, problems, split=ask.split)
    return found | {key: path for key, path in zip(lost, located) if path is not None}


def _of_stem(key: str, page: Page, stems: dict[str, list[Path]]) -> list[Path]:
    alike = stems.get(plain(page.file.stem), [])
    folder = Path(key).parent
    return sorted(alike, key=lambda path: path.parent.parts[-len(folder.parts) :] != folder.parts)
