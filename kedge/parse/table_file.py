"""Tables: .csv, .jsonl and .parquet as columns, and columns as numbers."""

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kedge.parse.json_text import read_json_lines
from kedge.parse.numbers import number
from kedge.parse.text import read_bytes, read_text, refuse_bomb

Column = Sequence[Any] | np.ndarray
ENDINGS = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Columns of equal length by name, as the file says them; `line[row]` is where a row stands."""

    file: Path
    columns: Mapping[str, Column]
    line: Sequence[int]

    def __len__(self) -> int:
        return len(self.line)

    def numbers(self, name: str) -> np.ndarray:
        """A column as float64; what is empty or null is NaN. `ValueError` names file, row and
        column of what is no number."""
        values = self.columns[name]
        if _are_plain(values):
            try:
                return np.asarray(values, np.float64)
            except (ValueError, TypeError, OverflowError):
                pass  # say where, below
        found = [np.nan if value in (None, "") else number(value) for value in values]
        for row, value in enumerate(found):
            if value is None:
                where = f"{self.file}: row {self.line[row]}, column {name}"
                raise ValueError(f"{where}: {values[row]!r:.80} is no number")
        return np.array(found, np.float64)


def _are_plain(values: Column) -> bool:
    """Whether numpy reads these as `number` does, only faster: it takes true for 1, and "1_0"."""
    if isinstance(values, np.ndarray):
        return values.dtype.kind in "iuf"
    kinds = set(map(type, values))
    return kinds <= {int, float} or (kinds == {str} and "_" not in "".join(values))


def read_table(file: Path, header: Sequence[str] | None = None) -> Table:
    """A .csv (commas, semicolons with decimal commas, or tabs), .jsonl or .parquet file.

    `header`: the names of the columns of a .csv that has none. Raises `ValueError` naming file,
    row and column.
    """
    ending = file.suffix.lower()
    if ending in (".csv", ".tsv"):
        return _csv(file, header)
    if ending in (".jsonl", ".ndjson"):
        return _jsonl(file)
    if ending == ".parquet":
        return _parquet(file)
    raise ValueError(f"{file}: expected one of {', '.join(ENDINGS)}")


def first_row(file: Path) -> list[str]:
    """The first row of a .csv file, split where `read_table` would; [] where it is no row."""
    text = read_text(file)
    try:
        lines = io.StringIO(text, newline="")
        rows = csv.reader(lines, delimiter=_delimiter(text), strict=True)
        return next((row for row in rows if row), [])
    except csv.Error:
        return []


def _delimiter(text: str) -> str:
    """What separates the cells of the first line; a comma where nothing does."""
    return max(",;\t", key=text.lstrip("\r\n").split("\n", 1)[0].count)


def _csv(file: Path, header: Sequence[str] | None) -> Table:
    text = read_text(file)
    mark = _delimiter(text)
    rows, lines = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as problem:
        raise ValueError(f"{file}: row {reader.line_num}: is not CSV: {problem}") from problem
    if header is None:
        if not rows:
            raise ValueError(f"{file}: is empty: expected a row of column names")
        names, rows, lines = [name.strip() for name in rows[0]], rows[1:], lines[1:]
    else:
        names = list(header)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{file}: row 1: there are two columns {twice!r}")
    for row, line in zip(rows, lines):
        if len(row) != len(names):
            raise ValueError(f"{file}: row {line}: has {len(row)} columns, expected {len(names)}")
    if mark == ";":
        rows = [[_decimal_point(cell) for cell in row] for row in rows]
    columns = list(zip(*rows)) if rows else [()] * len(names)
    return Table(file=file, columns=dict(zip(names, columns)), line=lines)


def _decimal_point(cell: str) -> str:
    """Where semicolons separate, a comma in a number is its decimal point."""
    mended = cell.replace(",", ".", 1)
    return mended if number(mended) is not None else cell


def _jsonl(file: Path) -> Table:
    rows = read_json_lines(file)
    for line, row in rows:
        if not isinstance(row, dict):
            raise ValueError(f"{file}: line {line}: is no object with names and values")
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    if len(names) > 1000:
        raise ValueError(f"{file}: its lines have {len(names)} different names: no table has")
    columns = {name: [row.get(name) for _, row in rows] for name in names}
    return Table(file=file, columns=columns, line=[line for line, _ in rows])


def _parquet(file: Path) -> Table:
    try:
        import polars
    except ImportError as missing:
        raise ImportError(f'{file}: tables need polars: pip install "kedge[data]"') from missing
    if not file.is_file():
        read_bytes(file)  # says what it is instead
    try:
        with _quiet():
            lazy = polars.scan_parquet(file, glob=False)
            names = lazy.collect_schema().names()
            rows = lazy.select(polars.len()).collect().item()
    except (Exception, polars.exceptions.PanicException) as problem:
        raise ValueError(f"{file}: cannot be read as .parquet: {_brief(problem)}") from problem
    refuse_bomb(file, rows * len(names) * 8)
    try:
        with _quiet():
            frame = lazy.collect()
        columns = {name: frame[name].to_list() for name in names}
    except (Exception, polars.exceptions.PanicException) as problem:
        raise ValueError(f"{file}: cannot be read as .parquet: {_brief(problem)}") from problem
    return Table(file=file, columns=columns, line=range(1, rows + 1))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what polars writes to the terminal by itself where a damaged file makes it panic."""
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _brief(problem: BaseException) -> str:
    return " ".join(str(problem).split())[:200]
