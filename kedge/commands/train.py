"""``kedge train``"""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import BeforeValidator

from kedge.commands.words import PRESETS
from kedge.train.config import TrainConfig, as_size, load_config

_ANCHORS = (
    "Shapes to start from: kmeans (of the training boxes as the network sees them), uniform, "
    "identical, a preset, a file of kedge design --json, or a list such as 10x13,16x30 (w x h, "
    f"pixels; YOLOv5's and darknet's syntax too). {PRESETS}"
)


class Flags(TrainConfig):
    """The settings as they are typed: three of them have a spelling of their own."""

    image_size: Annotated[
        tuple[int, int],
        BeforeValidator(as_size),
        Parameter(n_tokens=-1, consume_multiple=True),
    ] = TrainConfig.model_fields["image_size"].default
    """Side, or height and width, of the network's input; images are letterboxed into it."""
    crop: Annotated[
        tuple[int, int] | None,
        BeforeValidator(as_size),
        Parameter(n_tokens=-1, consume_multiple=True),
    ] = None
    """Side, or height and width, of what is cut from each image for training, at a random place, at
    the scale that image_size gives it; whole images are scored. By default whole images."""
    anchors: Annotated[str, Parameter(help=_ANCHORS, allow_leading_hyphen=True)] = "kmeans"


def train(
    *,
    settings: Annotated[Flags | None, Parameter(name="*")] = None,
    config: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    on: Literal["ray"] | None = None,
    address: str | None = None,
) -> None:
    """Train a detector, with learned or fixed anchors.

    kedge train --data DIR --detector yolov2 --anchors kmeans --learn-anchors --out runs/a

    Parameters
    ----------
    settings
        What to train; flags beat the file.
    config
        YAML file with the same keys as the flags, dashes written as underscores, in the blocks
        data (where --data is source), model, schedule (where --schedule is curve), output and
        machines.
    resume
        Go on with the run in --out after its last finished epoch; the result is the same, bit for
        bit, as without the interruption. Data and settings must be the run's own, but --epochs may
        be raised: from there on the schedule is that of the new length. What is done stays done, so
        a run of that length from the start comes out otherwise.
    overwrite
        Replace the run in --out.
    quiet
        No progress bar, nor the line an epoch that takes its place where there is no terminal.
    on
        ray: by devices times nodes workers of a Ray cluster, each with a GPU where this machine has
        one; where a worker is lost, the run goes on from its last checkpoint.
    address
        Of the Ray cluster; by default one is started on this machine.
    """
    from rich.console import Console

    from kedge.commands.tables import print_result
    from kedge.train.machines import is_first
    from kedge.train.run import train as run

    flags = {} if settings is None else settings.model_dump(include=settings.model_fields_set)
    stated = Path(flags.get("out", TrainConfig.model_fields["out"].default)) / "config.yaml"
    if resume and config is None and stated.exists():
        config = stated
    chosen = load_config(config, flags)
    if address is not None and on is None:
        raise ValueError("--address goes with --on ray")
    if on is not None:
        from kedge.train.on_ray import train_on_ray

        result = train_on_ray(chosen, address=address, resume=resume, overwrite=overwrite)
        print_result(Console(), result)
        return
    console = None if quiet else Console(stderr=True)
    result = run(chosen, resume=resume, overwrite=overwrite, console=console, title=str(chosen.out))
    if is_first(chosen):
        print_result(Console(), result)
