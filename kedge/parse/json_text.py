"""JSON, by msgspec where it can, by Python's own parser where NaN or Infinity is written."""

import json
from pathlib import Path
from typing import Any

from kedge.parse.text import read_utf8


def read_json(file: Path) -> Any:
    """A JSON file as plain Python objects. NaN and Infinity, which JSON forbids and Python writes,
    are let through. Raises `ValueError` naming the file."""
    return decode(read_utf8(file), str(file))


def read_json_lines(file: Path) -> list[tuple[int, Any]]:
    """Every line of a JSON lines file that is not blank, with its number from 1."""
    lines = read_utf8(file).splitlines()
    return [
        (number, decode(line, f"{file}: line {number}"))
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def decode(text: bytes, where: str) -> Any:
    """As `read_json`, of UTF-8 that is at hand; `where` begins the message."""
    import msgspec

    try:
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            return json.loads(text.decode())  # of bytes it would guess the encoding
    except RecursionError as problem:
        raise ValueError(f"{where}: is nested too deeply to be a data set") from problem
    except (ValueError, msgspec.MsgspecError) as problem:
        raise ValueError(f"{where}: is not JSON: {problem}") from problem
