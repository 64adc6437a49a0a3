"""The built page: one script and one style sheet, made from ``web/`` by ``make live``."""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path

_FOLDER = "kedge.live", "page_files"


@cache
def page_file(name: str) -> str:
    """The text of ``live.js``, ``live.css`` or ``built.json``."""
    return (resources.files(_FOLDER[0]) / _FOLDER[1] / name).read_text(encoding="utf-8")


def sources_hash(files: Iterable[Path], root: Path) -> str:
    """One hash of the names and the contents of source files, whatever their order."""
    found = hashlib.sha256()
    for file in sorted(files, key=lambda f: f.relative_to(root).as_posix()):
        content = file.read_bytes().replace(b"\r\n", b"\n")
        found.update(f"{file.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()


def built_from() -> str:
    """The hash of the sources from which the built page was made."""
    return json.loads(page_file("built.json"))["sources"]
