"""The folder of a run that another one is to replace."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kedge.train.folder import REPLACED, set_aside
from kedge.train.result import CONFIG, FILES, RUN


class GivenUp(Exception):
    """What ends the new run."""


def attempt(out: Path, act: Callable[[], object]) -> None:
    """A new run in place of the one that is there, which does ``act`` and is given up."""
    with set_aside(out):
        act()
        raise GivenUp


def files(out: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in out.iterdir() if path.is_file()}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A finished run, and a file that is none of its own."""
    for name in (*FILES, "notes.txt"):
        (tmp_path / name).write_text(f"old {name}")
    return tmp_path


def test_a_run_comes_back_where_its_successor_does_not_begin(old):
    before, seen = files(old), []
    with pytest.raises(GivenUp):
        attempt(old, lambda: seen.append(files(old)))
    assert seen == [{"notes.txt": "old notes.txt"}]
    assert files(old) == before
    assert not (old / REPLACED).exists()


def test_it_is_gone_when_its_successor_has_begun(old):
    with pytest.raises(GivenUp):
        attempt(old, lambda: (old / CONFIG).write_text("new"))
    assert files(old) == {"notes.txt": "old notes.txt", CONFIG: "new"}
    assert not (old / REPLACED).exists()


def test_it_outlives_an_attempt_that_was_killed(old):
    before, seen = files(old), []
    (old / REPLACED).mkdir()
    for name in FILES:
        (old / name).rename(old / REPLACED / name)
    for name in (CONFIG, RUN):
        (old / name).write_text("half")
    with pytest.raises(GivenUp):
        attempt(old, lambda: seen.append(files(old)))
    assert seen == [{"notes.txt": "old notes.txt"}]
    assert files(old) == before
