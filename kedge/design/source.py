"""The boxes of a data set or a table, as the command line names it."""

from dataclasses import replace
from pathlib import Path

from kedge.data import said
from kedge.data.formats import format_of
from kedge.data.readers import npz
from kedge.data.sources import choose_split, read_data
from kedge.design.table import TABLES, BoxTable, read_table, table_from_records


def read_boxes(source: str, split: str | None = None, root: Path | None = None) -> BoxTable:
    """Boxes of a data set (``kedge.data.read``) or of a table (``read_table``); its ``said`` tells
    what the reader has to say of them.

    ``split``: one of the data set's; by default its training split. ``root``: as ``read`` takes it.
    Errors: ``ValueError`` for what cannot be read, and for a split or a root of a single table.
    """
    path = Path(source)
    if path.is_file() and is_table(path):
        if split is not None:
            raise ValueError(f"{source}: is a single table without splits: leave out --split")
        if root is not None:
            raise ValueError(f"{source}: of a table no image is looked at: leave out --root")
        return read_table(path)
    chosen = choose_split(source, split)
    tables = _tables_in(path)
    if chosen in tables:
        return read_table(tables[chosen])
    data = read_data(source, chosen, check_images=False, root=root)
    table = table_from_records(data.records)
    return replace(table, said=tuple(said(data)), classes=data.classes)


def is_table(path: Path) -> bool:
    """Whether the name of a file is a table's; a metadata.jsonl is Hugging Face's, a data set."""
    return path.suffix in (".npz", *TABLES) and path.name != "metadata.jsonl"


def _tables_in(path: Path) -> dict[str, Path]:
    """The .npz files of a folder by split, where they are what it is read as."""
    known = format_of(path) if path.is_dir() else None
    return known[1] if known is not None and known[0].find is npz.find else {}
