"""`train(config)`: a whole run, from data to scored weights."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

import torch
from rich.console import Console

from kedge.data import Data, DetectionDataset, read, said, train_transforms
from kedge.data.below_a_pixel import below_a_pixel
from kedge.data.extremes import with_extremes
from kedge.data.problems import stop_if_no_box_is_left
from kedge.data.sources import training_split
from kedge.data.transforms import Pipeline
from kedge.design.saved import not_as_designed
from kedge.detectors import detector_class
from kedge.detectors.detector import Detector
from kedge.files import remove_parts
from kedge.predict.proposals import given_to
from kedge.train.config import TrainConfig
from kedge.train.engine import Engine
from kedge.train.fingerprint import Fingerprint, changes, fingerprint
from kedge.train.folder import check_folder
from kedge.train.lock import alone_in
from kedge.train.machines import check_machines, is_first
from kedge.train.make_detector import make_detector, sketch_of
from kedge.train.material import Material
from kedge.train.precision import precision_of
from kedge.train.result import FILES, RunResult
from kedge.train.seen_boxes import seen_boxes
from kedge.train.start_shapes import start_shapes


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
    title: str = "training",
    engine: Engine | None = None,
) -> RunResult:
    """Train, score and save a detector; the files are in `config.out`.

    `resume`: go on from the last checkpoint there (or start, where there is none yet; or return the
    result, where the run is finished). The result is bit for bit that of a run without a stop.
    Settings and data must be those of the run, but for what changes no weight, and for `epochs`:

    - They may be other than before, though not fewer than are done. From the next step on the
      learning rate, and whatever else goes by the progress of a run, are those of the new length;
      the warm-up of the shapes keeps its length in steps. What is done stays done, so the result is
      not that of a run which had the new length from the start, unless nothing in it goes by the
      length: a constant schedule, warm-ups in steps, a strategy that does not look at the progress.
    - The same change after the same epoch gives the same bits again, also after a stop.

    `overwrite`: replace a run that is there. `console`: where the progress bar goes, or, where that
    is no terminal, a line an epoch; None shows nothing.

    With several `devices` or `nodes` every process calls this, and Lightning starts those of this
    machine where neither Slurm nor torchrun does, by running this program's command again. The
    first writes and shows, all return the result. `config.out` is a folder that all of them see.
    `engine`: who has started the processes, where Lightning does not know it by itself.

    Raises ``ValueError`` for data, settings or files that do not fit, where another run is at work
    in the folder, and ``Diverged`` (a ``ValueError``) for a loss that is not finite.
    """
    first = is_first(config)
    console = console if first else None
    with alone_in(config.out) if first else nullcontext():
        before = check_folder(config, resume, overwrite) if first or resume else None
        precision_of(config)  # an error comes before anything is written, or taken away
        check_machines(config)
        if first:
            remove_parts(config.out, FILES)
        data, scored = read_splits(config)
        _say(console, said(data))
        if any(record.extremes is not None for record in data.records):
            _say(console, [with_extremes(data)])
        marks = fingerprint(data)
        if before is not None:
            _same_data(before, marks, data)
            if before.finished and before.epochs == config.epochs:
                return before
        detector, material = _prepare(config, data, scored, marks, console)
        given = given_to(detector, data, config.proposals_file)
        from kedge.train.fit import fit  # Lightning takes seconds to import: errors come first

        material = replace(material, given=given)
        spent = 0.0 if before is None else before.seconds
        return fit(
            config,
            detector,
            material,
            resume=resume,
            overwrite=overwrite,
            console=console,
            title=title,
            spent=spent,
            engine=engine,
        )


def _prepare(
    config: TrainConfig,
    data: Data,
    scored: Data | None,
    marks: Fingerprint,
    console: Console | None,
) -> tuple[Detector, Material]:
    """The detector at its start, and what it is trained on."""
    seen = seen_boxes(data, transforms_of(config, colour=False), config.seed)
    if not len(seen.sizes):
        reason = below_a_pixel(data, config.image_size) or "every box is a crowd, or nearly cut off"
        raise ValueError(f"{data.source}: no object is left to train on: {reason}")
    sketch = sketch_of(config)
    shapes = start_shapes(config, sketch, seen)
    if sketch.shapes is not None:
        offset = float(sketch.shapes.levels[0].offset)
        _say(console, not_as_designed(config.anchors, config.image_size, sketch.strides, offset))
    torch.manual_seed(config.seed)
    detector = make_detector(config, len(data.classes), shapes)
    dataset = DetectionDataset(data, transforms_of(config), seed=config.seed, cache=config.cache)
    return detector, Material(
        data=data, fingerprint=marks, dataset=dataset, scored=scored, seen=seen.sizes
    )


def _say(console: Console | None, lines: Sequence[str]) -> None:
    """A line stays a line, whatever the width of the terminal."""
    if console is not None:
        for line in lines:
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def read_splits(config: TrainConfig) -> tuple[Data, Data | None]:
    """The training split, and the one to score on (None where the data has no other)."""
    if not config.data:
        raise ValueError("data: say what to train on: --data DIR, or --data toy")
    extremes = getattr(detector_class(config.detector), "learns_extremes", False)
    data = read(
        config.data,
        training_split(config.data, config.train_split),
        config.on_bad_box,
        root=config.root,
        extremes=extremes,
    )
    stop_if_no_box_is_left([data])
    if len(data) == 0 or data.num_boxes == 0:
        part = "" if data.split is None else f"split {data.split!r} "
        raise ValueError(f"{data.source}: {part}has no objects to train on")
    name = config.eval_split
    if name is None:
        name = next((s for s in ("val", "test") if s in data.splits and s != data.split), None)
    scored = None if name is None else read(config.data, name, config.on_bad_box, root=config.root)
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
        crop=config.crop,
        colour=config.colour if colour else 0.0,
    )


def _same_data(before: RunResult, marks: Fingerprint, data: Data) -> None:
    changed = changes(before.data, marks)
    if changed:
        raise ValueError(
            f"{data.source}: not the training split that the run in {before.out} began with "
            f"({changed}); resume with the data as they were, or start a new run"
        )
