"""What is kept after every epoch: scores, weights, the run's description, the checkpoint."""

import time
from dataclasses import replace
from itertools import islice
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from kedge.data import Data
from kedge.design.kmeans import kmeans
from kedge.detectors.detector import Detector, HasProposals
from kedge.files import append_line, finite, forget_after
from kedge.predict.detect import Rows, detect, propose
from kedge.predict.proposals import given_to
from kedge.predict.score import recall_of, score
from kedge.predict.shared import shared_out
from kedge.ranks import as_on_first_, num_ranks, this_rank, wait_for_all
from kedge.train.checkpoint import SHAPES_KEY, save_weights
from kedge.train.config import TrainConfig
from kedge.train.ema import EMA
from kedge.train.loading import facts_of
from kedge.train.logs import Clock
from kedge.train.material import Material
from kedge.train.module import epochs_done
from kedge.train.provenance import command, hardware, versions
from kedge.train.result import LAST, SCORES, SHAPES, WEIGHTS, Level, RunResult, Station
from kedge.train.shape_log import AnchorTrace, fit_of


class Keeper(Checkpoint):
    """After an epoch: scores, weights, run.json, and the checkpoint to resume from, in that order.

    A ``Checkpoint`` to Lightning, which therefore calls it after every other callback. All ranks
    detect; rank 0 scores and writes.
    """

    def __init__(
        self, config: TrainConfig, detector: Detector, material: Material, spent: float = 0.0
    ) -> None:
        self.config, self.detector, self.material = config, detector, material
        self.spent, self.begin = spent, time.perf_counter()
        self.ema = EMA(detector, config.ema)
        self.trace = AnchorTrace(config.out / SHAPES, material.seen)
        self.clock = Clock()
        self.initial = [] if detector.shapes is None else detector.shapes.shapes.tolist()
        self.reference = (
            kmeans(material.seen, len(self.initial), seed=config.seed).tolist()
            if self.initial
            else []
        )
        self.epochs = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            forget_after(self.config.out / SCORES, trainer.global_step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        config = self.config
        self.epochs = epochs_done(trainer)
        last = self.epochs == config.epochs
        if config.eval_every and self.epochs % config.eval_every == 0 and not last:
            with self.ema.swapped_in():
                self.score_now(trainer.global_step)
        if last or self.epochs % config.save_every == 0:
            if trainer.is_global_zero:
                result = replace(self.result(), steps=trainer.global_step)
                save_weights(config.out / WEIGHTS, self.ema.weights(), facts_of(config, result))
                result.save()
            trainer.save_checkpoint(config.out / LAST)  # of rank 0, which the others wait for

    def score_now(self, step: int) -> dict[str, Any]:
        """Scores of the detector as it is, and the recall of its proposals where it has such; also
        a row of scores.jsonl. Empty without a split, and on other ranks than the first."""
        scored, config = self.material.scored, self.config
        if scored is None:
            return {}
        how: Any = {
            "batch_size": config.batch_size,
            "workers": config.workers,
            "proposals": config.proposals_file,
        }
        detector, size = self.detector, config.image_size
        as_on_first_(detector.state_dict().values())  # running statistics differ
        self._find_proposals(scored)
        found = shared_out(lambda part: detect(detector, part, size, **how), scored)
        proposals: Rows = []
        if isinstance(detector, HasProposals):
            proposals = shared_out(lambda part: propose(detector, part, size, **how), scored)
        if this_rank() > 0:
            return {}
        scores = score(found, scored)
        if proposals:
            scores |= recall_of(proposals, scored, (50, 100))
        scores = finite(scores)
        numbers = {key: value for key, value in scores.items() if isinstance(value, float)}
        forget_after(config.out / SCORES, step - 1)  # a run killed in its last lines scores again
        append_line(config.out / SCORES, {"step": step, "epoch": self.epochs} | numbers)
        return scores

    def _find_proposals(self, scored: Data) -> None:
        """What a source finds is in its file before other ranks than the first look there."""
        if num_ranks() == 1:
            return
        if this_rank() == 0:
            given_to(self.detector, scored, self.config.proposals_file)
        wait_for_all()

    def result(self) -> RunResult:
        """The run so far, unfinished."""
        config, data, scored = self.config, self.material.data, self.material.scored
        learned = self.ema.weights().get(SHAPES_KEY)
        final = [] if learned is None else learned.exp().tolist()
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
            seconds=self.spent + time.perf_counter() - self.begin,
            seconds_per_step=self.clock.seconds_per_step,
            data=self.material.fingerprint,
            made_with={"command": command(), "versions": versions(), "hardware": hardware()},
        )

    def _levels(self, shapes: list[list[float]]) -> list[Level]:
        rest, module = iter(shapes), self.detector.shapes
        if module is None:
            return [{"stride": stride, "shapes": []} for stride in self.detector.strides]
        return [
            {"stride": level.strides[0], "shapes": list(islice(rest, len(level.shapes_tensor())))}
            for level in module.levels
        ]

    def _stations(self, final: list[list[float]]) -> list[Station]:
        if not self.initial:
            return []
        stations = {"initial": self.initial}
        if self.trace.after_warmup is not None:
            stations["after warm-up"] = self.trace.after_warmup
        stations |= {"final": final, "k-means": self.reference}
        return [
            Station(name=name, shapes=shapes, mean_best_iou=fit_of(shapes, self.material.seen))
            for name, shapes in stations.items()
        ]

    def state_dict(self) -> dict[str, Any]:
        return {"initial": self.initial, "epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.initial, self.epochs = state_dict["initial"], state_dict["epochs"]
