"""Shared by every test: one thread (the suite must not fight its neighbours) and the real data."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from kedge.anchors.queries.table import tables

torch.set_num_threads(1)

# the same examples in every run; KEDGE_RANDOM=1 looks for new ones
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None)
settings.load_profile("random" if os.environ.get("KEDGE_RANDOM") else "fixed")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", params=["table", "search"])
def both_ways(request: pytest.FixtureRequest) -> Iterator[str]:
    """The pair queries by a table of all pairs, and by the search that avoids it."""
    with tables(request.param == "table"):
        yield request.param


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: $KEDGE_DATA, or ../shared/data beside the repository."""
    folder = Path(os.environ.get("KEDGE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} does not exist (set KEDGE_DATA to the folder)")
    return folder
