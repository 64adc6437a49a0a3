"""Names of files, compared without what programs and systems write differently."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kedge.data.split_names import splits_in

LONGEST = 4096  # characters of a path
_MOST = 500_000  # files looked at in a folder


def inside(root: Path, base: Path, name: str) -> Path | None:
    """`base / name` with symbolic links resolved, or None when that lies outside of `root`, and for
    a name that no file system takes."""
    if len(name) > LONGEST:
        return None
    try:
        path = (base / name).resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a null byte
        return None
    return path if path.is_relative_to(root.resolve()) else None


def is_file(path: Path) -> bool:
    """Like `Path.is_file`, also for a name that no file system takes."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


class Index:
    """The files below a folder by what is alike in their names: Unicode form and case apart.

    `split`: of what split the names are, where that is known.
    """

    def __init__(
        self,
        root: Path,
        bases: Sequence[Path],
        suffixes: Sequence[str] = (),
        split: str | None = None,
    ) -> None:
        self.root, self.bases = root, [base.resolve() for base in bases]
        self.split = split
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        endings = {ending.lower() for ending in suffixes}
        number = 0
        for folder, _, files in os.walk(root):
            number += len(files)
            if number > _MOST:  # what is unique among some need not be unique
                self._by_name, self._by_stem = {}, {}
                return
            for name in files:
                path = Path(folder, name)
                self._by_name.setdefault(plain(name), []).append(path)
                if path.suffix.lower() in endings:
                    self._by_stem.setdefault(plain(path.stem), []).append(path)

    def alike(self, name: str) -> list[Path]:
        """The files of the same base name, without links out of the folder."""
        parts = words_of(name)
        if not parts:
            return []
        found = self._by_name.get(parts[-1]) or self._by_stem.get(parts[-1], [])
        return [path for path in found if inside(self.root, path.parent, path.name) is not None]

    def of_its_split(self, name: str) -> list[Path]:
        """The files of the same base name, without those in a folder of another split (train, val,
        test) than the name's own: the one that it says, or that the set was read for."""
        alike = self.alike(name)
        own = splits_in([*words_of(name)[:-1], self.split or ""])
        return [path for path in alike if splits_in(self._folders(path)) <= own] if own else alike

    def _folders(self, path: Path) -> tuple[str, ...]:
        return path.relative_to(self.root).parts[:-1]

    def find(self, name: str) -> Path | None:
        """The one file that fits: most folders in common, in the first base where it is alone."""
        alike, parts = self.of_its_split(name), words_of(name)
        for base in (*self.bases, self.root):
            within = [path for path in alike if path.is_relative_to(base)]
            if not within:
                continue
            scores = [
                _in_common(words_of(str(path.relative_to(self.root))), parts) for path in within
            ]
            best = [path for path, score in zip(within, scores) if score == max(scores)]
            return best[0].resolve() if len(best) == 1 else None
        return None


def plain(text: str) -> str:
    """A name without what differs between systems: composed Unicode, no case."""
    return unicodedata.normalize("NFC", text).casefold()


def words_of(name: str) -> list[str]:
    """The folders and the base name of a path, a Windows path or a URL, each made `plain`."""
    text = name.strip()
    if len(text) > LONGEST:
        return []
    if "://" in text:
        try:
            pieces = urlsplit(text)
        except ValueError:  # an unfinished IPv6 address
            return []
        text = f"{pieces.path}?{pieces.query}" if pieces.query else pieces.path
    before, mark, query = text.partition("?")
    if mark and "=" in query:  # "/files/?d=folder/a.jpg" names the file, "a.jpg?size=2" does not
        text = before if "." in before.rsplit("/", 1)[-1] else query.split("=", 1)[1]
    if "%" in text:
        text = unquote(text)
    parts = text.replace("\\", "/").split("/")
    return [plain(part) for part in parts if part not in ("", ".", "..")]


def _in_common(one: list[str], other: list[str]) -> int:
    """How many words at the end of both are the same."""
    number = 0
    for a, b in zip(reversed(one), reversed(other)):
        if a != b:
            break
        number += 1
    return number
