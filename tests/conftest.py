"""Shared by every test: one thread (the suite must not fight its neighbours) and the real data."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: $KEDGE_DATA, or ../shared/data beside the repository."""
    folder = Path(os.environ.get("KEDGE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} does not exist (set KEDGE_DATA to the folder)")
    return folder
