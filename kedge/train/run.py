"""`train(config)`: a whole run, from data to scored weights."""

from pathlib import Path

import torch
from rich.console import Console

from kedge.data import Data, DetectionDataset, read, said, train_transforms
from kedge.data.below_a_pixel import below_a_pixel
from kedge.data.transforms import Pipeline
from kedge.train.config import TrainConfig, load_config, save_config
from kedge.train.make_detector import make_detector, sketch_of
from kedge.train.result import (
    CONFIG,
    LAST,
    METRICS,
    RUN,
    SCORES,
    SHAPES,
    WEIGHTS,
    RunResult,
    load_result,
)
from kedge.train.seen_sizes import seen_sizes
from kedge.train.start_shapes import start_shapes

_FREE = {"workers", "cache", "log_every", "eval_every", "save_every", "out"}  # may change at resume


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
    title: str = "training",
) -> RunResult:
    """Train, score and save a detector; the files are in `config.out`.

    `resume`: go on from the last checkpoint there (or start, where there is none yet; or return the
    result, where the run is finished). `overwrite`: replace a run that is there. `console`: where
    the progress bar goes; None shows nothing.

    Raises ``ValueError`` for data, settings or files that do not fit, and ``Diverged`` (a
    ``ValueError``) for a loss that is not finite.
    """
    _check_folder(config, resume, overwrite)
    if resume and (done := _finished(config.out)):
        return done
    data, scored = read_splits(config)
    if console is not None:
        console.print(*said(data), sep="\n", end="\n" * bool(data.findings), markup=False)
    seen = seen_sizes(data, transforms_of(config, colour=False), config.seed)
    if not len(seen):
        reason = below_a_pixel(data, config.image_size) or "every box is a crowd, or nearly cut off"
        raise ValueError(f"{data.source}: no object is left to train on: {reason}")
    shapes = start_shapes(config, sketch_of(config), seen)
    torch.manual_seed(config.seed)
    detector = make_detector(config, len(data.classes), shapes)
    transforms = transforms_of(config)
    dataset = DetectionDataset(data, transforms, seed=config.seed, cache=config.cache)

    _open_folder(config, overwrite)
    from kedge.train.fit import fit  # Lightning takes seconds to import: errors above come first
    from kedge.train.keeper import Material

    material = Material(data=data, dataset=dataset, scored=scored, seen=seen)
    return fit(config, detector, material, resume=resume, console=console, title=title)


def read_splits(config: TrainConfig) -> tuple[Data, Data | None]:
    """The training split, and the one to score on (None where the data has no other)."""
    if not config.data:
        raise ValueError("data: say what to train on: --data DIR, or --data toy")
    alone = Path(config.data).is_file() and Path(config.data).suffix not in (".yaml", ".yml")
    data = read(config.data, None if alone else config.train_split, config.on_bad_box)
    if len(data) == 0 or data.num_boxes == 0:
        raise ValueError(f"{data.source}: split {config.train_split!r} has no objects to train on")
    name = config.eval_split
    if name is None:
        name = next((s for s in ("val", "test") if s in data.splits and s != data.split), None)
    scored = None if name is None else read(config.data, name, config.on_bad_box)
    if scored is not None and scored.classes != data.classes:
        raise ValueError(
            f"{data.source}: split {name!r} has classes {list(scored.classes)}, "
            f"the training split {list(data.classes)}"
        )
    return data, scored


def transforms_of(config: TrainConfig, colour: bool = True) -> Pipeline:
    """The training transforms of `config`, without colour jitter if so wished."""
    return train_transforms(
        config.image_size,
        flip=config.flip,
        scale=config.scale,
        colour=config.colour if colour else 0.0,
    )


def _check_folder(config: TrainConfig, resume: bool, overwrite: bool) -> None:
    stated = config.out / CONFIG
    if resume and stated.exists():
        _same_settings(load_config(stated), config, stated)
    elif stated.exists() and not (resume or overwrite):
        raise ValueError(
            f"{config.out}: holds a run; --resume goes on with it, --overwrite replaces it"
        )


def _open_folder(config: TrainConfig, overwrite: bool) -> None:
    """Writes the settings; only now that data and settings have proved good."""
    config.out.mkdir(parents=True, exist_ok=True)
    if overwrite:
        for name in (LAST, RUN, WEIGHTS, METRICS, SHAPES, SCORES):
            (config.out / name).unlink(missing_ok=True)
    save_config(config, config.out / CONFIG)


def _same_settings(before: TrainConfig, now: TrainConfig, path: Path) -> None:
    changed = [
        f"{key} {getattr(before, key)!r} -> {getattr(now, key)!r}"
        for key in TrainConfig.model_fields
        if key not in _FREE and getattr(before, key) != getattr(now, key)
    ]
    if changed:
        raise ValueError(
            f"{path}: the run to resume has other settings ({'; '.join(changed)}); "
            "resume with its own, or start a new run"
        )


def _finished(out: Path) -> RunResult | None:
    result = load_result(out / RUN) if (out / RUN).exists() else None
    return result if result is not None and result.finished else None
