"""Several trainings at once, each in a process of its own: small networks fill one core each."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from kedge.train.config import TrainConfig, save_config
from kedge.files import read_lines
from kedge.train.result import METRICS, RUN, RunResult, load_result

_POLL = 0.25  # seconds


@dataclass(frozen=True, kw_only=True)
class _Child:
    title: str
    config: TrainConfig
    process: subprocess.Popen[bytes]
    errors: Path
    task: TaskID


def train_side_by_side(
    configs: Mapping[str, TrainConfig],
    *,
    jobs: int | None = None,
    console: Console | None = None,
) -> dict[str, RunResult]:
    """Train all `configs` (title to settings), `jobs` at a time; results in the same order.

    `jobs`: by default two on a processor with two cores or more, or one on an accelerator; the
    cores are shared out. Runs that are in the way are replaced. `console`: a bar a run.

    Raises ``ValueError`` with the words of the first run that fails; the others are then stopped.
    """
    jobs = jobs or default_jobs()
    waiting, running = list(configs.items()), list[_Child]()
    bars = _bars(console)
    with bars:
        tasks = {title: bars.add_task(title, total=None, status="") for title in configs}
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    title, config = waiting.pop(0)
                    running.append(_start(title, config, jobs, tasks[title]))
                time.sleep(_POLL)
                running = [child for child in running if not _finished(child, bars)]
        finally:
            for child in running:
                child.process.kill()  # a run can always be killed
                child.process.wait()
    return {title: load_result(config.out / RUN) for title, config in configs.items()}


def default_jobs() -> int:
    """Two at a time on a processor with two cores or more, one on an accelerator."""
    import torch

    return 1 if torch.cuda.is_available() else min(2, _cores())


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _start(title: str, config: TrainConfig, jobs: int, task: TaskID) -> _Child:
    settings = config.out.parent / f"{config.out.name}.yaml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    save_config(config, settings)
    errors = settings.with_suffix(".log")
    words = ["train", "--config", str(settings), "--out", str(config.out), "--overwrite", "--quiet"]
    threads = str(max(1, _cores() // jobs))
    with errors.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "kedge", *words],
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=os.environ | {"OMP_NUM_THREADS": threads},
        )
    return _Child(title=title, config=config, process=process, errors=errors, task=task)


def _finished(child: _Child, bars: Progress) -> bool:
    """Moves the child's bar; whether it is over. ``ValueError`` where it failed."""
    status = child.process.poll()
    if status:
        said = child.errors.read_text(errors="replace").strip().splitlines() or ["no message"]
        raise ValueError(f"{child.title}: {said[-1].removeprefix('kedge: ')}")
    rows = read_lines(child.config.out / METRICS)
    if rows:
        loss, done, total = rows[-1]["loss"], rows[-1]["epoch"], child.config.epochs
        bars.update(child.task, total=total, completed=done, status=f"loss {loss:.3f}")
    if status == 0:
        bars.update(child.task, total=1, completed=1, status="done")
        child.errors.unlink(missing_ok=True)
    return status == 0


def _bars(console: Console | None) -> Progress:
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[status]}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, disable=console is None, refresh_per_second=4)
