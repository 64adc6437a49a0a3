"""``kedge train --on ray``: a run by the workers of a Ray cluster, which goes on where one dies."""

from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from kedge.shape_text import is_design_file
from kedge.train.config import TrainConfig, make_config
from kedge.train.engine import Engine
from kedge.train.folder import check_folder, set_aside
from kedge.train.lock import alone_in
from kedge.train.make_detector import sketch_of
from kedge.train.result import RUN, RunResult, load_result
from kedge.train.run import read_splits, train

_FAILURES = 3  # of workers, after which the run is given up
_PATHS = ("out", "root", "proposals", "assign_cache")


def train_on_ray(
    config: TrainConfig,
    *,
    address: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> RunResult:
    """Train by ``config.ranks`` workers, each with a GPU where this machine has one.

    ``address``: of a cluster that runs; None starts one on this machine. Kedge is installed on its
    machines, and all of them see the data and ``config.out``. Where a worker is lost all start
    again at the last checkpoint, up to three times; the result is that of a run without a stop.
    ``resume``, ``overwrite``: as in ``kedge.train.train``.

    Errors: ``ImportError`` with what to install where Ray is absent; ``ValueError`` where the run
    is given up, with what the workers said.
    """
    try:
        ray: Any = import_module("ray")
        api: Any = import_module("ray.train")
        torch_api: Any = import_module("ray.train.torch")
    except ImportError as error:
        raise ImportError("--on ray needs Ray: pip install 'kedge[ray]'") from error
    config = config.model_copy(update=_absolute(config))
    with alone_in(config.out):
        check_folder(config, resume, overwrite)
        read_splits(config)  # a mistake is said here, before the workers make it in turn
        sketch_of(config)
        if not ray.is_initialized():
            ray.init(address=address, log_to_driver=False, include_dashboard=False)
    with set_aside(config.out) if overwrite else nullcontext():
        _fit(config, api, torch_api)
    return load_result(config.out / RUN)


def _fit(config: TrainConfig, api: Any, torch_api: Any) -> None:
    """The run, by workers, of which the first holds the folder."""
    gpu = torch.cuda.is_available()
    with TemporaryDirectory() as kept:  # Ray's own records; the checkpoints are in config.out
        trainer = torch_api.TorchTrainer(
            _work,
            train_loop_config=config.model_dump(mode="json"),
            scaling_config=api.ScalingConfig(num_workers=config.ranks, use_gpu=gpu),
            torch_config=torch_api.TorchConfig(backend="nccl" if gpu else "gloo"),
            run_config=api.RunConfig(
                storage_path=kept, failure_config=api.FailureConfig(max_failures=_FAILURES)
            ),
        )
        try:
            trainer.fit()
        except api.TrainingFailedError as problem:
            failures = getattr(problem, "worker_failures", None) or {0: problem}
            said = str(next(iter(failures.values()))).strip().splitlines() or ["no word"]
            raise ValueError(f"{config.out}: the workers gave up: {said[-1]}") from problem


def _absolute(config: TrainConfig) -> dict[str, Any]:
    """Paths as a worker, which is elsewhere, has to have them."""
    paths = {key: getattr(config, key) for key in _PATHS}
    found: dict[str, Any] = {key: path.resolve() for key, path in paths.items() if path}
    if Path(config.data).exists():
        found["data"] = str(Path(config.data).resolve())
    if is_design_file(config.anchors):
        found["anchors"] = str(Path(config.anchors).resolve())
    return found


def _work(values: dict[str, Any]) -> None:
    """A worker: it begins, or goes on, and knows its place from Ray."""
    lightning: Any = import_module("ray.train.lightning")
    engine = Engine(
        strategy=lightning.RayDDPStrategy(find_unused_parameters=True),
        environment=lightning.RayLightningEnvironment(),
    )
    train(make_config(values), resume=True, engine=engine)
