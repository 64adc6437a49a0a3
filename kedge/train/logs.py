"""What a run writes and shows while it goes."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kedge.files import append_line, forget_after
from kedge.train.module import DetectionModule, Diverged, epochs_done


class LossLog(Callback):
    """Writes ``metrics.jsonl``: step, epoch, lr, every loss and what the assignment did, every
    ``log_every`` steps; and the step at which a loss was not finite, null there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        forget_after(self.path, trainer.global_step)
        if trainer.global_step == 0:
            self.path.unlink(missing_ok=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, DetectionModule)
        if pl_module.is_logged(trainer.global_step):
            self._write(trainer, pl_module, pl_module.last_facts)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, Diverged):
            assert isinstance(pl_module, DetectionModule)
            self._write(trainer, pl_module, {})

    def _write(self, trainer: Trainer, pl_module: DetectionModule, facts: dict[str, float]) -> None:
        if not trainer.is_global_zero:
            return
        losses = pl_module.last_losses
        row = {
            "step": trainer.global_step,
            "epoch": epochs_done(trainer),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "loss": sum(losses.values()),
        }
        row |= {f"loss_{name}": value for name, value in losses.items()}
        append_line(self.path, row | facts)


class Clock(Callback):
    """Seconds of the training steps of this process, the first `skip` left out as warm-up."""

    def __init__(self, skip: int = 5) -> None:
        self.skip, self.seconds, self.steps, self._seen = skip, 0.0, 0, 0
        self._start = 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._seen += 1
        if self._seen > self.skip:
            self.seconds += time.perf_counter() - self._start
            self.steps += 1

    @property
    def seconds_per_step(self) -> float | None:
        """Mean over the steps counted; None when there were too few."""
        return self.seconds / self.steps if self.steps else None


def progress(title: str, console: Console) -> Callback:
    """A bar on a terminal; elsewhere (a file, a pipe) a line an epoch."""
    seen = console.is_terminal or console.is_jupyter
    return Bar(title, console) if seen else EpochLines(title, console)


class EpochLines(Callback):
    """``TITLE: epoch 3/40, step 24, mean loss 1.234, 0:00:12`` (since this process began to train)
    after every epoch."""

    def __init__(self, title: str, console: Console) -> None:
        self.title, self.console = title, console
        self.start, self.losses = 0.0, list[float]()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start = time.monotonic()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.losses = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, DetectionModule)
        self.losses.append(sum(pl_module.last_losses.values()))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        mean = sum(self.losses) / max(1, len(self.losses))
        passed = timedelta(seconds=round(time.monotonic() - self.start))
        self.console.print(
            f"{self.title}: epoch {epochs_done(trainer)}/{trainer.max_epochs}, "
            f"step {trainer.global_step}, mean loss {mean:.3f}, {passed}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


class Bar(Callback):
    """A progress bar over the whole run: epoch, step, loss, time left."""

    def __init__(self, title: str, console: Console) -> None:
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self.title = title
        self.progress = Progress(*columns, console=console, refresh_per_second=4)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, DetectionModule)
        self.task = self.progress.add_task(self.title, total=pl_module.total_steps, status="")
        self.progress.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, DetectionModule)
        loss = sum(pl_module.last_losses.values())
        stage = " warm-up" if pl_module.warmup_active else ""
        status = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs} loss {loss:.3f}{stage}"
        self.progress.update(self.task, completed=trainer.global_step, status=status)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.progress.stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self.progress.stop()
