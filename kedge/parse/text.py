"""Bytes and text of a file, and text that is safe to print."""

import codecs
import stat
from pathlib import Path

SMALL = 2**28  # bytes that any file may grow to; more only in proportion to its own size
RATIO = 100
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_bytes(file: Path) -> bytes:
    """All bytes of a regular file. Raises `ValueError` for a folder, a pipe or a device (reading
    a pipe would wait for ever), and for what the system refuses."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ValueError(f"{file}: is no regular file (a folder, a pipe or a device)")
        return file.read_bytes()
    except OSError as problem:
        raise ValueError(f"{file}: cannot be read ({problem.strerror or problem})") from problem


def read_text(file: Path) -> str:
    """The text of a file: UTF-8 with or without a byte order mark, UTF-16 or UTF-32."""
    content = read_bytes(file)
    for mark, name in _MARKS:
        if content.startswith(mark):
            return _decode(content[len(mark) :], name, file)
    return _decode(content, _unmarked(content), file)


def read_lines(file: Path) -> list[str]:
    """The lines of a text file without their ends: \\n, \\r\\n or \\r, and nothing else."""
    return read_text(file).replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_utf8(file: Path) -> bytes:
    """A text file as UTF-8 without a byte order mark, whatever it was."""
    content = read_bytes(file)
    if content.startswith(tuple(mark for mark, _ in _MARKS)) or _unmarked(content) != "utf-8":
        return read_text(file).encode("utf-8", "surrogatepass")
    return content


def shown(text: str) -> str:
    """`text` with control characters, terminal escapes and other unprintable characters written
    out (`\\x1b`) instead of sent. Line ends are unprintable, too."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def refuse_bomb(file: Path, size: int) -> None:
    """Raise `ValueError` for a file whose content would take `size` bytes, far beyond its own."""
    if size > max(SMALL, RATIO * file.stat().st_size):
        raise ValueError(
            f"{file}: would grow to {size / 1e6:,.0f} MB from {file.stat().st_size / 1e6:,.1f} MB: "
            "this is no honest table; it is not read"
        )


def _unmarked(content: bytes) -> str:
    """UTF-16 without a mark has a zero in every other byte of plain text."""
    head = content[:64]
    if len(head) >= 4 and head[1::2].count(0) > len(head) // 3 and head[0::2].count(0) == 0:
        return "utf-16-le"
    if len(head) >= 4 and head[0::2].count(0) > len(head) // 3 and head[1::2].count(0) == 0:
        return "utf-16-be"
    return "utf-8"


def _decode(content: bytes, name: str, file: Path) -> str:
    try:
        return content.decode(name)
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        raise ValueError(
            f"{file}: line {line} is not {name.upper()} text ({problem.reason}): save the file as "
            "UTF-8"
        ) from problem
