"""The training step: a detector, its optimiser, and the warm-up of its shapes."""

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from kedge.assign.predictions_read import reads_predictions
from kedge.batches.cached import Cached
from kedge.counted import count
from kedge.design.placed_warmup import placed_warmup
from kedge.detectors.annealed_warmup import AnnealedWarmup
from kedge.detectors.detector import Detector
from kedge.detectors.gradient_warmup import GradientWarmup
from kedge.detectors.object_warmup import ObjectWarmup
from kedge.detectors.on_proposals import OnProposals
from kedge.predict.proposals import Given
from kedge.ranks import num_ranks, over_ranks
from kedge.train.checkpoint import check_fit
from kedge.train.config import TrainConfig
from kedge.train.result import LAST
from kedge.train.sampler import mix
from kedge.train.stages import first_stage
from kedge.train.step_facts import step_facts
from kedge.types import Targets

Batch = tuple[Tensor, list[dict[str, Any]]]


class Diverged(ValueError):
    """A loss that is not a number: going on would only write it into every weight."""


def epochs_done(trainer: Trainer) -> int:
    """Epochs that are over; unlike ``trainer.current_epoch`` right in an epoch's last hooks too."""
    progress: Any = trainer.fit_loop.epoch_progress.current
    return progress.processed


class DetectionModule(LightningModule):
    """Trains `detector` for `total_steps` steps as `config` says, with proposals that are `given`.

    `last_losses` (name to float), `last_facts` (of the steps that are logged: `step_facts`) and
    `warmup_active` are for callbacks.
    """

    def __init__(
        self,
        detector: Detector,
        config: TrainConfig,
        total_steps: int,
        given: Given | None = None,
    ) -> None:
        super().__init__()
        self.detector, self.given = detector, given
        self.config = config
        self.total_steps = total_steps
        self.warmup_steps = 0
        self.warmup = self._make_warmup()
        self.cached = self._make_cache()
        self.last_losses: dict[str, float] = {}
        self.last_facts: dict[str, float] = {}

    def _make_warmup(self) -> ObjectWarmup | GradientWarmup | None:
        config, shapes = self.config, self.detector.shapes
        if not config.learn_anchors:
            return None
        if shapes is None:
            raise ValueError(f"learn_anchors: {config.detector} has no anchor shapes to learn")
        kind = config.shape_warmup
        if kind == "none":
            return None
        self.warmup_steps = warmup_length(config, self.total_steps)
        classes = self.detector.num_classes if config.balance == "classes" else None
        if kind == "placed":
            return placed_warmup(shapes, self.warmup_steps, classes)
        if kind == "annealed":
            return AnnealedWarmup(
                steps=self.warmup_steps, num_shapes=len(shapes), num_classes=classes
            )
        return GradientWarmup(
            steps=self.warmup_steps, soft=config.soft, clustering=float(config.clustering)
        )

    def _make_cache(self) -> Cached | None:
        folder, config = self.config.assign_cache, self.config
        if folder is None:
            return None
        if config.learn_anchors:
            raise ValueError("assign_cache: shapes that are learned give new answers at every step")
        stage, grid = first_stage(self.detector), self.detector.grid(config.image_size)
        if stage is None or grid is None or stage.assign is not self.detector.rule:
            raise ValueError(f"assign_cache: {config.detector} has no fixed anchors to assign")
        if reads_predictions(stage.assign, grid):
            raise ValueError(
                f"assign_cache: {stage.assign!r} chooses by predictions, which differ at every "
                "step: leave assign_cache out, or assign by geometry alone (atss, max_iou ...)"
            )
        return Cached(stage.assign, folder)

    @property
    def warmup_active(self) -> bool:
        """Whether the next step still belongs to the warm-up of the shapes."""
        return self.warmup is not None and self.global_step < self.warmup_steps

    def on_train_epoch_start(self) -> None:
        """What samplers draw follows from seed, epoch and rank, whether the run was stopped or
        not."""
        seed = mix(mix(self.config.seed, epochs_done(self.trainer)), self.global_rank)
        torch.manual_seed(seed)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, rows = batch
        images = images.contiguous(memory_format=torch.channels_last)  # as the weights are
        targets = Targets.from_list(rows)
        detector, shapes = self.detector, self.detector.shapes
        detector.progress = self.global_step / self.total_steps
        warmup, assign = self.warmup if self.warmup_active else None, self.cached
        if isinstance(warmup, ObjectWarmup):
            assert shapes is not None
            warmup.update(shapes, targets)
        elif isinstance(warmup, GradientWarmup):
            assign = warmup.assigner()
        if self.given is not None and isinstance(detector, OnProposals):
            boxes = self.given(rows, images)
            outcome = detector.losses(images, targets, assign=assign, proposals=boxes)
        else:
            outcome = detector.losses(images, targets, assign=assign)
        losses = dict(outcome.losses)
        if isinstance(warmup, GradientWarmup):
            assert shapes is not None
            grid = shapes((images.shape[-2], images.shape[-1]))
            losses["clustering"] = warmup.loss(grid, targets)
            warmup.advance()
        total = torch.stack(list(losses.values())).sum()
        self._remember(losses)
        if self.is_logged(self.global_step + 1):
            self.last_facts = step_facts(outcome)
        return total

    def is_logged(self, step: int) -> bool:
        """Whether a line is written after `step` steps."""
        return step % self.config.log_every == 0 or step == self.total_steps

    def _remember(self, losses: dict[str, Tensor]) -> None:
        stacked = torch.stack([loss.detach().float() for loss in losses.values()])
        values = (over_ranks(stacked) / num_ranks()).tolist()  # so that all stop where one has to
        self.last_losses = dict(zip(losses, values))
        if not all(math.isfinite(value) for value in values):
            shown = ", ".join(f"{name} {value:.4g}" for name, value in self.last_losses.items())
            raise Diverged(
                f"step {self.global_step}: the loss is not finite ({shown}); lower lr or "
                "grad_clip, or set precision to 32"
            )

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """While a warm-up sets the shapes, their gradient must not pull as well."""
        if self.warmup_active and isinstance(self.warmup, ObjectWarmup):
            assert self.detector.shapes is not None
            self.detector.shapes.log_shapes.grad = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["shape_warmup_steps"] = self.warmup_steps

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The warm-up of the shapes keeps its length, also where the run is made longer."""
        check_fit(self.state_dict(), checkpoint["state_dict"], self.config.out / LAST)
        self.warmup_steps = checkpoint["shape_warmup_steps"]
        if self.warmup is not None:
            self.warmup.steps = self.warmup_steps

    def on_train_start(self) -> None:
        """The rate of the first step is the schedule's, not the checkpoint's: they differ where the
        run was made longer."""
        [scheduler] = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        assert isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR)
        groups = scheduler.optimizer.param_groups
        for group, base, factor in zip(groups, scheduler.base_lrs, scheduler.lr_lambdas):
            group["lr"] = base * factor(scheduler.last_epoch)

    def configure_optimizers(self) -> dict[str, Any]:
        config = self.config
        groups = parameter_groups(self.detector, config)
        if config.optimiser == "adamw":
            betas = (config.momentum, 0.999)
            optimiser: torch.optim.Optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=betas)
        else:
            optimiser = torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
        rise = config.steps_of(config.lr_warmup, self.total_steps)
        factor = Schedule(kind=config.schedule, rise=rise, total=self.total_steps)
        # a plain function: of an object, LambdaLR would restore the `total` of the checkpoint
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: factor(step))
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def warmup_length(config: TrainConfig, total: int) -> int:
    """Steps of the shapes' warm-up in a run of `total`: see ``TrainConfig.warmup_steps``.
    ``ValueError`` for more steps than there are."""
    steps = config.steps_of(config.warmup_steps, total)
    if config.warmup_steps < 1:
        return max(1, min(max(steps, 100), total // 2))
    if steps > total:
        raise ValueError(
            f"warmup_steps: {steps} are more than the run's {count(total, 'step')}, so that the "
            "warm-up would never be over; take fewer, or a share such as 0.15"
        )
    return steps


class Schedule:
    """The learning rate's factor at a step: a linear rise, then `kind`."""

    def __init__(self, *, kind: str, rise: int, total: int) -> None:
        self.kind, self.rise, self.total = kind, rise, total

    def __call__(self, step: int) -> float:
        if step < self.rise:
            return (step + 1) / self.rise
        if self.kind == "constant":
            return 1.0
        done = (step - self.rise) / max(1, self.total - self.rise)
        if self.kind == "step":
            return 1.0 if done < 2 / 3 else 0.1 if done < 8 / 9 else 0.01
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def parameter_groups(detector: Detector, config: TrainConfig) -> list[dict[str, Any]]:
    """Weights of convolutions and linear layers decay; biases, norms, and parameters of a strategy
    (AutoAssign's prior) do not; shapes have their own learning rate and no decay."""
    shapes = None if detector.shapes is None else detector.shapes.log_shapes
    heavy = {
        id(module.weight)
        for module in detector.modules()
        if isinstance(module, (nn.modules.conv._ConvNd, nn.Linear, nn.Embedding))
    }
    rest = [p for p in detector.parameters() if p.requires_grad and p is not shapes]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in rest if id(p) in heavy], "weight_decay": config.weight_decay},
        {"params": [p for p in rest if id(p) not in heavy], "weight_decay": 0.0},
    ]
    if shapes is not None and shapes.requires_grad:
        lr = config.lr * config.anchor_lr
        groups.append({"params": [shapes], "lr": lr, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]
