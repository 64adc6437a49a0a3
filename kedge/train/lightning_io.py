"""How Lightning writes and reads the checkpoint that a run resumes from."""

import io
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from kedge.files import replacing
from kedge.train.checksum import seal, unsealed

_KEYS = {"state_dict", "loops", "callbacks", "optimizer_states", "lr_schedulers"}


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary file, with a checksum, syncs, renames; reads what was written, or
    nothing.

    ``weights_only=True`` at reading: tensors and plain values, so that a checkpoint from a stranger
    cannot run code.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        del storage_options  # part of Lightning's contract; local files have none
        with replacing(Path(path)) as part:
            with part.open("wb") as file:  # given a path, torch would write its random name inside
                torch.save(checkpoint, file)
            seal(part)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        del weights_only  # always
        try:
            data = Path(path).read_bytes()
        except FileNotFoundError:
            raise ValueError(f"{path}: no checkpoint to resume from") from None
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
        try:
            found = torch.load(
                io.BytesIO(unsealed(data)), map_location=map_location or "cpu", weights_only=True
            )
        except (ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(
                f"{path}: truncated, damaged or not a checkpoint: {reason}; restore the file, "
                "or start anew with --overwrite"
            ) from None
        if not isinstance(found, dict) or not found.keys() >= _KEYS:
            raise ValueError(f"{path}: not a checkpoint of a run; --overwrite starts anew")
        return found
