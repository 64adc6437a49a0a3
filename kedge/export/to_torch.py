"""Files of ``torch.export``: written, and opened by torch alone.

Such a file may hold pickles, which run code when they are read. Those that Kedge writes hold none,
and one that does is not opened."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from kedge.export.facts import KEY, Facts, facts_from
from kedge.export.forms import Graph
from kedge.export.trace import quietly, traced
from kedge.files import replacing

_EXTRA = f"{KEY}.json"


def save_torch(graph: Graph, facts: Facts, path: Path) -> None:
    """Writes the program of a graph with its facts, atomically."""
    program = traced(graph)
    with replacing(path) as part, part.open("wb") as file, quietly():
        torch.export.save(program, file, extra_files={_EXTRA: facts.as_text()})


class TorchSession:
    """A file of ``torch.export``, open."""

    def __init__(self, path: Path) -> None:
        check_no_pickle(path)
        extra = {_EXTRA: ""}
        try:
            with quietly(), path.open("rb") as file:
                program = torch.export.load(file, extra_files=extra)
        except Exception as error:  # whatever a damaged archive makes of it
            raise ValueError(f"{path}: torch.export cannot read it ({error!r:.200})") from None
        self.facts = facts_from(extra[_EXTRA] or None, path)
        self._module = program.module()

    def __call__(self, images: Tensor) -> Sequence[Tensor]:
        """The outputs for images (B, 3, H, W)."""
        with torch.no_grad():
            return self._module(images)


def check_no_pickle(path: Path) -> None:
    """``ValueError`` unless an archive of ``torch.export`` holds plain tensors and JSON only."""
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                _check_entry(archive, entry, path)
    except (zipfile.BadZipFile, OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not an archive of torch.export ({error})") from None


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    folder, _, name = entry.filename.partition("/")[2].rpartition("/")
    pickled = folder == "data/sample_inputs" and entry.file_size > 0
    if folder in ("data/weights", "data/constants"):
        if name.endswith(".json"):
            listed = json.loads(archive.read(entry)).get("config", {}).values()
            pickled = any(row.get("use_pickle", True) for row in listed)
        else:
            pickled = not name.startswith(("weight_", "tensor_"))
    if pickled:
        raise ValueError(
            f"{path}: holds pickled data ({entry.filename}), which could run anything: only files "
            "of plain tensors, as kedge export --to torch-export writes them, are opened"
        )
