"""Files beside the images that are not looked at: counted, so that nothing is lost in silence."""

from collections.abc import Iterable
from pathlib import Path

from kedge.data.images import SUFFIXES
from kedge.data.problems import Problems

# what lies beside images and is none
_KNOWN = {".txt", ".xml", ".json", ".jsonl", ".yaml", ".yml", ".csv", ".md", ".cache", ".names"}
_KNOWN |= {".data", ".html", ".pdf", ".py", ".ipynb", ".db", ".ini", ".log", ".toml", ".odgt", ""}


def other_endings(files: Iterable[Path], root: Path, problems: Problems) -> None:
    """Count files among the images whose ending is not looked at (.heic, .dng, ...)."""
    other = [
        str(file.relative_to(root))
        for file in files
        if file.suffix.lower() not in (*SUFFIXES, *_KNOWN) and not file.name.startswith(".")
        if file.is_file()
    ]
    endings = ", ".join(sorted({Path(name).suffix for name in other}))
    problems.unused("file of another kind", other, f"files ending in {endings} are not looked at")
