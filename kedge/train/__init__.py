"""Training: settings, runs, and what they leave behind. Needs the extra ``train``.

``train(config)`` is a whole run; ``load_run(path)`` gives its detector back. Names are imported
when they are used, because the command line reads settings without needing torch.
"""

from typing import TYPE_CHECKING

from kedge.lazy import lazily

if TYPE_CHECKING:
    from kedge.train.config import TrainConfig, load_config, make_config
    from kedge.train.loading import load, save
    from kedge.train.result import RunResult, Station, load_result
    from kedge.train.run import train
    from kedge.train.saved import Run, load_run

_HOMES = {
    "Run": "saved",
    "RunResult": "result",
    "Station": "result",
    "TrainConfig": "config",
    "load": "loading",
    "load_config": "config",
    "load_result": "result",
    "load_run": "saved",
    "make_config": "config",
    "save": "loading",
    "train": "run",
}

__all__ = [
    "Run",
    "RunResult",
    "Station",
    "TrainConfig",
    "load",
    "load_config",
    "load_result",
    "load_run",
    "make_config",
    "save",
    "train",
]


__getattr__ = lazily(__name__, _HOMES)
