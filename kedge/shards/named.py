"""Which shards a name stands for."""

import glob
from pathlib import Path


def shards_of(*sources: str) -> list[str]:
    """The parts that ``sources`` name, each once: a glob of files or folders, a file, or a folder.

    An address with a scheme (``s3://bucket/part.parquet``) is taken as it is.
    Errors: ``ValueError`` where nothing is there.
    """
    found: dict[str, None] = {}
    for source in sources:
        if "://" in source or source == "toy" or Path(source).exists():
            found[source] = None
            continue
        parts = sorted(glob.glob(source, recursive=True))
        if not parts:
            raise ValueError(f"{source}: no such file or folder")
        found |= dict.fromkeys(parts)
    return list(found)
