"""The run itself, on Lightning's Trainer."""

import logging
import signal
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from rich.console import Console
from torch.utils.data import DataLoader

from kedge.data import DetectionDataset, collate
from kedge.detectors.detector import Detector
from kedge.train.config import TrainConfig
from kedge.train.keeper import Keeper
from kedge.train.lightning_io import AtomicCheckpointIO
from kedge.train.logs import LossLog, progress
from kedge.train.material import Material
from kedge.train.module import DetectionModule, epochs_done
from kedge.train.precision import precision_of
from kedge.train.result import LAST, METRICS, RunResult
from kedge.train.sampler import EpochData, EpochSampler, mix

_PRECISION: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def fit(
    config: TrainConfig,
    detector: Detector,
    material: Material,
    *,
    resume: bool,
    console: Console | None,
    title: str,
    spent: float = 0.0,
) -> RunResult:
    """Train `detector` in place, score it, save it. `spent`: seconds of the run's earlier parts."""
    detector.to(memory_format=torch.channels_last)  # what convolutions are fastest in
    sampler = EpochSampler(len(material.dataset), config.seed)
    loader = _loader(config, material.dataset, sampler)
    steps = config.epochs * len(loader)
    module = DetectionModule(detector, config, total_steps=steps, given=material.given)
    keeper = Keeper(config, detector, material, spent)
    callbacks: list[Callback] = [keeper.ema, keeper.trace, keeper.clock]
    callbacks += [LossLog(config.out / METRICS), keeper]
    callbacks += [progress(title, console)] if console is not None else []
    with _quiet():
        trainer = _trainer(config, callbacks)
        sampler.epoch = lambda: epochs_done(trainer)
        last = config.out / LAST
        checkpoint = last if resume and last.exists() else None
        _fit(trainer, module, loader, checkpoint)
    if console is not None and module.cached is not None:
        console.print(f"assign_cache: {module.cached.summary()}", markup=False, highlight=False)
    detector.load_state_dict(keeper.ema.weights())
    scores = keeper.score_now(trainer.global_step)
    result = replace(keeper.result(), scores=scores, finished=True, steps=steps)
    result.save()
    return result


def _fit(
    trainer: Trainer, module: DetectionModule, loader: DataLoader[Any], checkpoint: Path | None
) -> None:
    """Lightning's fit, but Ctrl-C stays Ctrl-C: Lightning makes it an exit and goes deaf to it."""
    heard = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, heard)


def _loader(
    config: TrainConfig, dataset: DetectionDataset, sampler: EpochSampler
) -> DataLoader[Any]:
    return DataLoader(
        EpochData(dataset),
        config.batch_size,
        sampler=sampler,
        num_workers=config.workers,
        collate_fn=collate,
        drop_last=len(dataset) >= config.batch_size,
        persistent_workers=config.workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(mix(config.seed, 0)),
    )


def _trainer(config: TrainConfig, callbacks: list[Callback]) -> Trainer:
    return Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=config.epochs,
        precision=_PRECISION[precision_of(config)],
        gradient_clip_val=config.grad_clip or None,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        deterministic="warn",
        default_root_dir=Path(config.out),
    )


class _quiet:
    """Lightning's advertisements and hints stay off the terminal; its errors do not."""

    def __enter__(self) -> None:
        self.catch = warnings.catch_warnings()
        self.catch.__enter__()
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        warnings.filterwarnings("ignore", message=".*not have a deterministic implementation.*")
        self.loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric")]
        self.levels = [logger.level for logger in self.loggers]
        for logger in self.loggers:
            logger.setLevel(logging.ERROR)

    def __exit__(self, *exception: object) -> None:
        for logger, level in zip(self.loggers, self.levels):
            logger.setLevel(level)
        self.catch.__exit__(*exception)  # pyright: ignore[reportArgumentType]
