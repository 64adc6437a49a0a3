"""A toy data set so small that a whole training takes a second or two."""

from pathlib import Path
from typing import Any

import pytest

from kedge.data import toy
from kedge.train.config import TrainConfig, make_config


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training and four validation images of 64 x 96 pixels, as a COCO folder."""
    return toy.write(tmp_path_factory.mktemp("data") / "mini", train=12, val=4, size=(64, 96))


@pytest.fixture
def settings(mini: Path, tmp_path: Path) -> Any:
    """Makes settings of a run of two steps an epoch; keywords go on top."""

    def make(**changes: Any) -> TrainConfig:
        base = {
            "data": str(mini),
            "image_size": (64, 96),
            "batch_size": 6,
            "epochs": 2,
            "log_every": 1,
            "out": tmp_path / "run",
        }
        return make_config(base | changes)

    return make
