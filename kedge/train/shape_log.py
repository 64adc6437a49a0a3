"""The path of the anchor shapes through a run, and how well they fit at every station."""

from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray

from kedge.evaluate import mean_best_iou
from kedge.files import append_line, forget_after
from kedge.train.module import DetectionModule, epochs_done

_STATIONS = 25  # rows written during the warm-up


class AnchorTrace(Callback):
    """Writes ``shapes.jsonl``: a row at the start, along the warm-up, and after every epoch.

    A row: step, epoch, stage ("initial", "warmup", "training"), shapes (w, h) in pixels, and the
    mean best IoU with the training boxes as the network sees them (`seen`, (n, 2)).
    `after_warmup` keeps the shapes at the warm-up's end for the table of the run.
    """

    def __init__(self, path: Path, seen: NDArray[np.floating]) -> None:
        self.path, self.seen = path, seen
        self.after_warmup: list[list[float]] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        forget_after(self.path, trainer.global_step)
        if trainer.global_step == 0:
            self.path.unlink(missing_ok=True)
            self._write(trainer, pl_module, "initial")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, DetectionModule)
        if pl_module.warmup is None or self.after_warmup is not None:
            return
        if not pl_module.warmup_active:
            self.after_warmup = _shapes_of(pl_module)
            self._write(trainer, pl_module, "warmup")
        elif trainer.global_step % max(1, pl_module.warmup_steps // _STATIONS) == 0:
            self._write(trainer, pl_module, "warmup")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, DetectionModule)
        self._write(trainer, pl_module, "warmup" if pl_module.warmup_active else "training")

    def _write(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, DetectionModule)
        shapes = _shapes_of(pl_module)
        if not shapes or not trainer.is_global_zero:
            return
        row = {
            "step": trainer.global_step,
            "epoch": epochs_done(trainer),
            "stage": stage,
            "mean_best_iou": fit_of(shapes, self.seen),
            "shapes": shapes,
        }
        append_line(self.path, row)

    def state_dict(self) -> dict[str, Any]:
        return {"after_warmup": self.after_warmup}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.after_warmup = state_dict["after_warmup"]


def _shapes_of(module: DetectionModule) -> list[list[float]]:
    shapes = module.detector.shapes
    return [] if shapes is None else shapes.shapes.tolist()


def fit_of(shapes: list[list[float]], seen: NDArray[np.floating]) -> float | None:
    """Mean best IoU of the boxes `seen` (n, 2) with `shapes`; None without boxes."""
    return mean_best_iou(seen, shapes) if len(seen) else None
