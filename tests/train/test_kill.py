"""Killed at random moments, resumed, and bit for bit what it would have been."""

import subprocess
import sys

import pytest
from conftest import REPOSITORY


@pytest.mark.slow
def test_50_killed_runs_end_as_one_that_was_never_killed():
    """The script fails where a file differs or is left over; it prints what it counted."""
    words = [sys.executable, "benchmarks/kill.py", "--kills", "50", "--no-record"]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    names, _, row = (line.strip("| ").split("|") for line in done.stdout.strip().splitlines())
    counted = {name.strip(): int(value) for name, value in zip(names, row)}
    assert counted["kills"] == 50
    assert counted["identical"] == counted["runs"] >= 25
    assert counted["with_stray_files"] == 0
    assert counted["killed_while_writing"] > 0, "no kill came while a file was written"
