"""Two runs never share a folder, and a run that was killed locks nobody out."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from kedge.train import lock
from kedge.train.lock import alone_in
from kedge.train.run import train

HOLDER = """
import sys, time
from pathlib import Path
from kedge.train.lock import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder."""
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_run_is_refused_with_the_folder_and_what_to_do(tmp_path, holder, settings):
    said = rf"run: another run is at work in this folder \(process {holder.pid}\); wait .* --out"
    for changes in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(ValueError, match=said):
            train(settings(), **changes)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


def test_the_lock_of_a_killed_run_is_no_lock(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "run" / ".lock").exists()
    with alone_in(tmp_path / "run"):
        assert (tmp_path / "run" / ".lock").read_text() == str(os.getpid())
    assert not list((tmp_path / "run").iterdir())


def test_one_process_excludes_itself_and_releases_after_an_error(tmp_path):
    def fail():
        with alone_in(tmp_path):
            raise KeyError

    with alone_in(tmp_path), pytest.raises(ValueError, match="another run is at work"):
        fail()
    with pytest.raises(KeyError):
        fail()
    with alone_in(tmp_path):
        pass


def test_a_run_that_wrote_nothing_leaves_no_folder(tmp_path):
    with alone_in(tmp_path / "a" / "b"):
        pass
    assert not list(tmp_path.iterdir())
    with alone_in(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "kept").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["kept"]
    with alone_in(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "kept").unlink()
    assert (tmp_path / "a" / "b").is_dir()  # was there before


def test_a_forked_child_does_not_outlive_its_parents_lock(tmp_path):
    """The processes that load images are forks; those of a killed run live on for seconds."""
    context = multiprocessing.get_context("fork")
    with alone_in(tmp_path):
        child = context.Process(target=time.sleep, args=(600,), daemon=True)
        child.start()
    try:
        assert child.is_alive()
        with alone_in(tmp_path):
            pass
    finally:
        child.kill()
        child.join()


def test_a_newcomer_between_unlock_and_unlink_does_not_lock_a_dead_file(tmp_path, monkeypatch):
    """The owner leaves just after the newcomer opened its file: the newcomer opens a new one."""
    owner = alone_in(tmp_path)
    owner.__enter__()
    take = lock._lock

    def late(handle, path):
        if lock._held:
            owner.__exit__(None, None, None)
        take(handle, path)

    monkeypatch.setattr(lock, "_lock", late)
    with alone_in(tmp_path):
        monkeypatch.setattr(lock, "_lock", take)
        with pytest.raises(ValueError, match="another run"), alone_in(tmp_path):
            pass


def test_a_disk_without_locks_is_said(tmp_path, monkeypatch):
    def refuse(handle, how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    said = r"this disk knows no locks \(No locks available\); start one run only"
    with pytest.warns(UserWarning, match=said), alone_in(tmp_path):
        assert (tmp_path / ".lock").exists()
