"""How Lightning writes and reads the checkpoint that a run resumes from."""

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from kedge.files import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary file, syncs, renames; reads tensors and plain values only.

    ``weights_only=True`` at reading: a checkpoint from a stranger cannot run code.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        del storage_options  # part of Lightning's contract; local files have none
        with replacing(Path(path)) as part:
            torch.save(checkpoint, part)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        del weights_only  # always
        try:
            return torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except FileNotFoundError:
            raise ValueError(f"{path}: no checkpoint to resume from") from None
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"{path}: truncated or not a checkpoint ({reason})") from None
