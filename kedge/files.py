"""Files of a run: written whole or not at all, and JSON lines that survive a crash."""

import glob
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; once the block is over it takes `path`'s place.

    The content is on the disk (fsync) before the rename, so that a reader, or a run resumed after
    ``kill -9`` or a power cut, sees the old file or the whole new one, never a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.chmod(part, 0o644)
        os.replace(part, path)
        _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself durable, where the system lets folders be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def remove_parts(folder: Path, names: Iterable[str]) -> None:
    """Remove what ``replacing`` left of the files `names` where its process was killed.

    Only for who knows that nobody else is writing them.
    """
    for name in names:
        for part in folder.glob(f".{glob.escape(name)}.????????.part"):
            part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; NaN and infinity, which JSON lacks, become null."""
    write_text(path, json.dumps(finite(value), indent=1, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """`value` as JSON can hold it: NaN and infinity become None, tuples lists, keys text."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Add one row to a JSON-lines file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(finite(row), allow_nan=False) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON-lines file; a last line cut off by a crash is left out.

    ``ValueError`` names the file and the line of anything else that is not a row.
    """
    if not path.exists():
        return []
    rows = []
    data = path.read_bytes()
    lines, whole = data.splitlines(), data.endswith(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if whole or number < len(lines):
                raise ValueError(f"{path}, line {number}: not JSON: {error}") from None
            continue
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number}: not a row but {line[:40]!r}")
        rows.append(row)
    return rows


def forget_after(path: Path, step: int) -> None:
    """Drop the rows of steps after `step`: a resumed run writes them again."""
    if path.exists():
        kept = [row for row in read_lines(path) if row.get("step", 0) <= step]
        write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
