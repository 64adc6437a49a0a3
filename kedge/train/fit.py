"""The run itself, on Lightning's Trainer."""

import logging
import time
import warnings
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from numpy.typing import NDArray
from rich.console import Console
from torch.utils.data import DataLoader

from kedge.anchors.kmeans import kmeans
from kedge.data import Data, DetectionDataset, collate
from kedge.detectors.base import Detector
from kedge.predict import detect, score
from kedge.train.anchors import AnchorTrace, fit_of
from kedge.train.checkpoint import SHAPES_KEY, save_weights
from kedge.train.config import TrainConfig
from kedge.train.ema import EMA
from kedge.train.facts import command, hardware, versions
from kedge.train.files import append_line, finite, forget_after
from kedge.train.lightning_io import AtomicCheckpointIO
from kedge.train.logs import Bar, Clock, LossLog
from kedge.train.module import DetectionModule, epochs_done
from kedge.train.result import LAST, METRICS, SCORES, SHAPES, WEIGHTS, RunResult, Station
from kedge.train.sampler import EpochData, EpochSampler, mix

_PRECISION: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def has_bf16() -> bool:
    """Whether the accelerator, or else the processor, computes in bfloat16 itself."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return not torch.backends.mps.is_available() and torch.cpu._is_avx512_bf16_supported()


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What a run works on: data, the split to score on, and box sizes (n, 2) as the network sees
    them."""

    data: Data
    dataset: DetectionDataset
    scored: Data | None
    seen: NDArray[np.floating]


def fit(
    config: TrainConfig,
    detector: Detector,
    material: Material,
    *,
    resume: bool,
    console: Console | None,
    title: str,
) -> RunResult:
    """Train `detector` in place, score it, save it."""
    begin = time.perf_counter()
    detector.to(memory_format=torch.channels_last)  # what convolutions are fastest in
    sampler = EpochSampler(len(material.dataset), config.seed)
    loader = _loader(config, material.dataset, sampler)
    steps = config.epochs * len(loader)
    module = DetectionModule(detector, config, total_steps=steps)
    keeper = Keeper(config, detector, material)
    callbacks: list[Callback] = [keeper.ema, keeper.trace, keeper.clock]
    callbacks += [LossLog(config.out / METRICS, config.log_every), keeper]
    callbacks += [Bar(title, console)] if console is not None else []
    with _quiet():
        trainer = _trainer(config, callbacks)
        sampler.epoch = lambda: epochs_done(trainer)
        last = config.out / LAST
        checkpoint = last if resume and last.exists() else None
        trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True)
    detector.load_state_dict(keeper.ema.weights())
    scores = keeper.score_now(trainer.global_step)
    seconds = time.perf_counter() - begin
    result = replace(keeper.result(), scores=scores, finished=True, steps=steps, seconds=seconds)
    result.save()
    return result


class Keeper(Checkpoint):
    """After an epoch: scores, weights, run.json, and the checkpoint to resume from, in that order.

    A ``Checkpoint`` to Lightning, which therefore calls it after every other callback.
    """

    def __init__(self, config: TrainConfig, detector: Detector, material: Material) -> None:
        self.config, self.detector, self.material = config, detector, material
        self.ema = EMA(detector, config.ema)
        self.trace = AnchorTrace(config.out / SHAPES, material.seen)
        self.clock = Clock()
        self.initial = detector.anchors.shapes.tolist()
        self.reference = kmeans(material.seen, len(self.initial), seed=config.seed).tolist()
        self.epochs = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        forget_after(self.config.out / SCORES, trainer.global_step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        config = self.config
        self.epochs = epochs_done(trainer)
        last = self.epochs == config.epochs
        if config.eval_every and self.epochs % config.eval_every == 0 and not last:
            with self.ema.swapped_in():
                self.score_now(trainer.global_step)
        if last or self.epochs % config.save_every == 0:
            result = replace(self.result(), steps=trainer.global_step)
            save_weights(config.out / WEIGHTS, self.ema.weights(), _facts(result))
            result.save()
            trainer.save_checkpoint(config.out / LAST)

    def score_now(self, step: int) -> dict[str, Any]:
        """Scores of the detector as it is; also a row of scores.jsonl. Empty without a split."""
        scored, config = self.material.scored, self.config
        if scored is None:
            return {}
        found = detect(
            self.detector,
            scored,
            config.image_size,
            batch_size=config.batch_size,
            workers=config.workers,
        )
        scores = finite(score(found, scored))
        numbers = {key: value for key, value in scores.items() if isinstance(value, float)}
        append_line(config.out / SCORES, {"step": step, "epoch": self.epochs} | numbers)
        return scores

    def result(self) -> RunResult:
        """The run so far, unfinished."""
        config, data, scored = self.config, self.material.data, self.material.scored
        final = self.ema.weights()[SHAPES_KEY].exp().tolist()
        return RunResult(
            out=config.out,
            finished=False,
            detector=config.detector,
            classes=list(data.classes),
            category_ids=list(data.category_ids),
            image_size=config.image_size,
            levels=self._levels(final),
            stations=self._stations(final),
            eval_split=None if scored is None else scored.split,
            epochs=self.epochs,
            seconds_per_step=self.clock.seconds_per_step,
            made_with={"command": command(), "versions": versions(), "hardware": hardware()},
        )

    def _levels(self, shapes: list[list[float]]) -> list[dict[str, Any]]:
        rest = iter(shapes)
        return [
            {"stride": level.strides[0], "shapes": list(islice(rest, len(level.shapes_tensor())))}
            for level in self.detector.anchors(self.config.image_size).levels
        ]

    def _stations(self, final: list[list[float]]) -> list[Station]:
        stations = {"initial": self.initial}
        if self.trace.after_warmup is not None:
            stations["after warm-up"] = self.trace.after_warmup
        stations |= {"final": final, "k-means": self.reference}
        return [
            Station(name=name, shapes=shapes, mean_best_iou=fit_of(shapes, self.material.seen))
            for name, shapes in stations.items()
        ]

    def state_dict(self) -> dict[str, Any]:
        return {"initial": self.initial}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.initial = state_dict["initial"]


def _facts(result: RunResult) -> dict[str, Any]:
    """What goes into the weights' own header: enough to use them without run.json."""
    return {
        "detector": result.detector,
        "classes": result.classes,
        "image_size": list(result.image_size),
        "levels": result.levels,
        "versions": result.made_with["versions"],
    }


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
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if has_bf16() else "32"
    return Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=config.epochs,
        precision=_PRECISION[precision],
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
