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
from lightning.pytorch.strategies import DDPStrategy
from rich.console import Console
from torch.utils.data import DataLoader

from kedge.counted import count
from kedge.data import DetectionDataset, collate
from kedge.detectors.detector import Detector
from kedge.ranks import wait_for_all
from kedge.train.config import TrainConfig
from kedge.train.engine import Engine
from kedge.train.folder import open_folder
from kedge.train.keeper import Keeper
from kedge.train.lightning_io import AtomicCheckpointIO
from kedge.train.logs import LossLog, progress
from kedge.train.machines import is_first
from kedge.train.material import Material
from kedge.train.module import DetectionModule, epochs_done
from kedge.train.precision import precision_of
from kedge.train.result import LAST, METRICS, RUN, RunResult, load_result
from kedge.train.sampler import EpochData, EpochSampler, mix

_PRECISION: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def fit(
    config: TrainConfig,
    detector: Detector,
    material: Material,
    *,
    resume: bool,
    overwrite: bool,
    console: Console | None,
    title: str,
    spent: float = 0.0,
    engine: Engine | None = None,
) -> RunResult:
    """Train `detector` in place, score it, save it. `spent`: seconds of the run's earlier parts."""
    detector.to(memory_format=torch.channels_last)  # what convolutions are fastest in
    keeper = Keeper(config, detector, material, spent)
    callbacks: list[Callback] = [keeper.ema, keeper.trace, keeper.clock]
    callbacks += [LossLog(config.out / METRICS), keeper]
    callbacks += [progress(title, console)] if console is not None else []
    with _quiet():
        trainer = _trainer(config, callbacks, engine)
        loader = _loader(config, material.dataset, trainer)
        steps = config.epochs * len(loader)
        module = DetectionModule(detector, config, total_steps=steps, given=material.given)
        last = config.out / LAST
        checkpoint = last if resume and last.exists() else None
        if is_first(config):
            open_folder(config, overwrite)  # no sooner: so far a mistake costs no run that is there
        _fit(trainer, module, loader, checkpoint)
    if console is not None and module.cached is not None:
        console.print(f"assign_cache: {module.cached.summary()}", markup=False, highlight=False)
    detector.load_state_dict(keeper.ema.weights())
    scores = keeper.score_now(trainer.global_step)
    if trainer.is_global_zero:
        replace(keeper.result(), scores=scores, finished=True, steps=steps).save()
    wait_for_all()
    return load_result(config.out / RUN)


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


def _loader(config: TrainConfig, dataset: DetectionDataset, trainer: Trainer) -> DataLoader[Any]:
    """Batches of this rank."""
    ranks, batch = config.ranks, config.batch_size
    if ranks > 1 and len(dataset) < batch:
        raise ValueError(
            f"batch_size: {batch} is more than the {count(len(dataset), 'training image')}, which "
            f"{ranks} processes cannot share; take less, or one process"
        )
    sampler = EpochSampler(
        len(dataset), config.seed, batch=batch, rank=trainer.global_rank, ranks=ranks
    )
    sampler.epoch = lambda: epochs_done(trainer)
    return DataLoader(
        EpochData(dataset),
        sampler.share if ranks > 1 else batch,
        sampler=sampler,
        num_workers=config.workers,
        collate_fn=collate,
        drop_last=len(dataset) >= batch,
        persistent_workers=config.workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(mix(config.seed, 0)),
    )


def _trainer(config: TrainConfig, callbacks: list[Callback], engine: Engine | None) -> Trainer:
    # what a step does not touch (learned shapes, a branch without objects) gets no gradient
    strategy = "auto" if config.ranks == 1 else DDPStrategy(find_unused_parameters=True)
    places: dict[str, Any] = {
        "strategy": strategy, "devices": config.devices, "num_nodes": config.nodes,
        "plugins": [AtomicCheckpointIO()],
    }  # fmt: skip
    if engine is not None:
        places["strategy"], places["devices"], places["num_nodes"] = engine.strategy, "auto", 1
        places["plugins"].append(engine.environment)
    return Trainer(
        accelerator="auto",
        **places,
        sync_batchnorm=config.sync_batchnorm,
        use_distributed_sampler=False,
        max_epochs=config.epochs,
        precision=_PRECISION[precision_of(config)],
        gradient_clip_val=config.grad_clip or None,
        callbacks=callbacks,
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
        warnings.filterwarnings("ignore", message=".*find_unused_parameters=True was specified.*")
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides.*")
        self.loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric")]
        self.levels = [logger.level for logger in self.loggers]
        for logger in self.loggers:
            logger.setLevel(logging.ERROR)

    def __exit__(self, *exception: object) -> None:
        for logger, level in zip(self.loggers, self.levels):
            logger.setLevel(level)
        self.catch.__exit__(*exception)  # pyright: ignore[reportArgumentType]
