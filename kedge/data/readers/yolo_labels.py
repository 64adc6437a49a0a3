"""Which label file belongs to which image of a YOLO set, and which belong to none."""

from pathlib import Path

from kedge.data.names import inside, plain
from kedge.data.problems import Problems
from kedge.data.raw import RawImage
from kedge.data.readers.yolo_layout import Layout, reduced

_NO_LABELS = ("classes.txt", "notes.txt", "readme.txt", "license.txt", "requirements.txt")


def inside_or_refuse(root: Path, path: Path, problems: Problems) -> bool:
    """Whether a file lies below `root`, links followed; where not, that is refused."""
    if inside(root, path.parent, path.name) is not None:
        return True
    message = f"a symbolic link leaves the data folder {root}: copy the file into it"
    problems.refuse("path outside the folder", str(path.relative_to(root)), "", message)
    return False


class Labels:
    """The label files of a layout, and which of them images have used."""

    def __init__(self, layout: Layout, problems: Problems) -> None:
        self.layout, self.problems = layout, problems
        self.used: set[Path] = set()
        self._listings: dict[Path, dict[str, Path]] = {}

    def of(self, image: RawImage) -> Path | None:
        """The label file of an image: its ending in any case, its name in any Unicode form."""
        assert image.file is not None
        for place in (self._swapped(image.file), image.file):
            if place is None:
                continue
            wanted = place.with_suffix(".txt")
            file = wanted if wanted.is_file() else self._listed(place.parent).get(plain(place.stem))
            if file is not None:
                self.used.add(file)
                return file if inside_or_refuse(self.layout.root, file, self.problems) else None
        return None

    def _swapped(self, path: Path) -> Path | None:
        """The path with the last folder "images" replaced by "labels"."""
        parts = list(path.relative_to(self.layout.root).parts)
        for i in range(len(parts) - 1, -1, -1):
            if parts[i] == "images" and (i < len(parts) - 1 or path.is_dir()):
                return self.layout.root.joinpath(*parts[:i], "labels", *parts[i + 1 :])
        return None

    def _listed(self, folder: Path) -> dict[str, Path]:
        """The label files of a folder by plain stem; those of which two are alike left out."""
        if folder not in self._listings:
            found: dict[str, list[Path]] = {}
            for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                if path.suffix.lower() == ".txt" and path.is_file():
                    found.setdefault(plain(path.stem), []).append(path)
            self._listings[folder] = {k: v[0] for k, v in found.items() if len(v) == 1}
        return self._listings[folder]

    def say_unused(self, split: str) -> None:
        """Label files below the folders of this split that no image of it has."""
        unused: dict[Path, None] = {}
        for said in self.layout.places[split]:
            place = reduced(self.layout.root, said)
            if place is None or not place.is_dir():
                continue  # a list of images says nothing of the others
            for base in {self._swapped(place) or place, place}:
                files = (p for p in base.rglob("*") if p.suffix.lower() == ".txt")
                unused |= dict.fromkeys(p for p in sorted(files) if self._is_label(p))
        names = [str(p.relative_to(self.layout.root)) for p in unused if p not in self.used]
        self.problems.unused("label file without an image", names, "no image has the name of these")

    def _is_label(self, path: Path) -> bool:
        lists = {place.rsplit("/", 1)[-1] for said in self.layout.places.values() for place in said}
        if path == self.layout.file or path.name.lower() in _NO_LABELS or path.name in lists:
            return False
        return not path.name.lower().startswith(("readme", "license"))
