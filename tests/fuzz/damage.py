"""Ways to damage a small data set: its bytes, its numbers, its words, its files."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

NUMBERS = [
    "0", "-0.0", "-1", "1", "2", "40", "41", "1.5", "-3.2", "1e3", "1e400", "-1e400", "1e-320",
    "nan", "NaN", "Infinity", "-Infinity", "inf", "null", "true", '""', '"12"', "12.0", "[]", "{}",
    "9" * 25, "9" * 400, "9" * 5000, "18446744073709551616", "9223372036854775807", "0x10", "1_0",
    "1,5", "٣", "", " ", "--5", "5-", "1e", "2147483648", "1000000",
]  # fmt: skip
WORDS = [
    "", " ", "a", "../../etc/passwd", "/etc/passwd", "\x1b[31mred\x1b[0m", "\x00", "\u202etxt", "é",
    "é", "A.PNG", "a" * 300, "x/" * 3000, "\\\\server\\a.png", "http://h/x/a.png?y=1", "http://[",
    "%2e%2e%2fa.png", "[" * 3000, "{" * 3000, "- " * 2000, "&x;", "*a", "&a [*a]", "!!python/tuple",
    "!!int x", "2024-13-01", "<<: *a", "]]>", "<x>" * 2000, "<!DOCTYPE a>", "\ud800", "\ufeff", "?",
    "'", '"', "no", "~", "nc: 2000000000", "kpt_shape: [3, 2]", "path: ..", "path: /tmp",
]  # fmt: skip

Damage = Callable[[Path, list[Path], Random], None]


def _choose(files: list[Path], random: Random) -> Path:
    """An annotation three times in four, else any file, an image too."""
    texts = [file for file in files if file.suffix != ".png"]
    return random.choice(texts if texts and random.random() < 0.75 else files)


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() else b""


def bits(folder: Path, files: list[Path], random: Random) -> None:
    file = _choose(files, random)
    content = bytearray(_content(file))
    for _ in range(random.choice((1, 1, 2, 5, 20))):
        if content:
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    file.write_bytes(content)


def slices(folder: Path, files: list[Path], random: Random) -> None:
    file = _choose(files, random)
    content = _content(file)
    start, stop = sorted(random.randrange(len(content) + 1) for _ in range(2))
    part = content[start:stop]
    file.write_bytes(
        random.choice(
            (
                content[:start],  # cut off
                content[:start] + content[stop:],
                content[:stop] + part + content[stop:],
                content[:start] + random.randbytes(stop - start) + content[stop:],
                part + content,
                b"",
            )
        )
    )


def numbers(folder: Path, files: list[Path], random: Random) -> None:
    _replace(_choose(files, random), rb"-?\d+(?:\.\d+)?(?:e-?\d+)?", NUMBERS, random)


def words(folder: Path, files: list[Path], random: Random) -> None:
    _replace(_choose(files, random), rb"[A-Za-z_][\w./]*|[\[\]{}<>:,\"=]", WORDS, random)


def _replace(file: Path, pattern: bytes, by: list[str], random: Random) -> None:
    content = _content(file)
    places = list(re.finditer(pattern, content))
    for place in sorted(random.sample(places, min(len(places), random.choice((1, 1, 2, 4)))),
                        key=lambda place: -place.start()):  # fmt: skip
        new = random.choice(by).encode("utf-8", "surrogatepass")
        content = content[: place.start()] + new + content[place.end() :]
    file.write_bytes(content)


def lines(folder: Path, files: list[Path], random: Random) -> None:
    file = _choose(files, random)
    rows = _content(file).split(b"\n")
    i, j = random.randrange(len(rows)), random.randrange(len(rows))
    how = random.randrange(5)
    if how == 0:
        rows[i], rows[j] = rows[j], rows[i]
    elif how == 1:
        rows.insert(j, rows[i])
    elif how == 2:
        del rows[i]
    elif how == 3:
        rows[i] = rows[i] + rows[j]
    else:
        rows = rows[:i] + [rows[i]] * random.choice((2, 50)) + rows[i:]
    file.write_bytes(b"\n".join(rows))


def encodings(folder: Path, files: list[Path], random: Random) -> None:
    file = _choose(
        [f for f in files if f.suffix not in (".png", ".npz", ".parquet")] or files, random
    )
    content = _content(file)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return
    name = random.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp037"))
    if random.random() < 0.3:
        text = text.replace("\n", random.choice(("\r\n", "\r", "\n\n", "\x0b", "\u2028")))
    file.write_bytes(text.encode(name, "replace"))


def places(folder: Path, files: list[Path], random: Random) -> None:
    """Files that are gone, empty, folders, pipes, links, of another name, or one another."""
    file, other = _choose(files, random), random.choice(files)
    content, foreign = _content(file), _content(other)
    if not file.exists():
        return
    how = random.randrange(9)
    file.unlink()
    if how == 0:
        file.write_bytes(foreign)
    elif how == 1:
        file.mkdir()
    elif how == 2:
        os.mkfifo(file)
    elif how == 3:
        file.symlink_to("/etc/passwd")
    elif how == 4:
        file.symlink_to(file.name)
    elif how == 5:
        stem = random.choice((file.stem.upper(), file.stem + " (1)", "é" + file.stem, "\x1b[2J"))
        (file.parent / (stem + random.choice((file.suffix, file.suffix.upper())))).write_bytes(
            content
        )
    elif how == 6:
        (folder / "deeper").mkdir(exist_ok=True)
        (folder / "deeper" / file.name).write_bytes(content)
    elif how == 7:
        file.write_bytes(content)
        (file.parent / f"copy{random.randrange(9)}{file.suffix}").write_bytes(content)


def arrays(folder: Path, files: list[Path], random: Random) -> None:
    """Sound archives with unsound arrays; other forms get another kind of damage."""
    archives = [file for file in files if file.suffix == ".npz" and file.is_file()]
    if not archives:
        return numbers(folder, files, random)
    file = archives[0]
    try:
        with np.load(file, allow_pickle=False) as found:
            table = {key: found[key] for key in found.files}
    except Exception:
        return bits(folder, files, random)
    key = random.choice(list(table))
    column = table[key]
    how = random.randrange(7)
    if how == 0 and column.dtype.kind in "iuf" and column.size:
        column = column.astype(np.float64)
        bad = random.choice((np.nan, np.inf, -np.inf, -1, 0, 1e300, 2.5, 2.0**63, 1e9))
        column.flat[random.randrange(column.size)] = bad
    elif how == 1:
        column = column[: len(column) // 2]
    elif how == 2:
        kinds = ("f2", "f4", "i1", "u8", "c8", "M8[s]", "?", "S3", "O", "U4")
        try:
            column = column.astype(random.choice(kinds))
        except (ValueError, TypeError):
            column = column.astype("O")
    elif how == 3:
        column = column.reshape(1, *column.shape)
    elif how == 4:
        column = column[:0]
    elif how == 5:
        column = np.array(random.choice((3, "x", np.nan)))
    else:
        del table[key]
    if how < 6:
        table[key] = column
    np.savez(file, allow_pickle=True, **table)


DAMAGES: list[Damage] = [
    bits,
    slices,
    numbers,
    numbers,
    words,
    words,
    lines,
    encodings,
    places,
    arrays,
]
