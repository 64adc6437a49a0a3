"""What a run shows: a bar on a terminal, and elsewhere a line an epoch."""

import io
import re

from rich.console import Console

from kedge.files import read_lines
from kedge.train.logs import Bar, EpochLines, progress
from kedge.train.run import train


def test_without_a_terminal_there_is_a_line_an_epoch(settings):
    said = io.StringIO()
    config = settings(epochs=3)
    train(config, console=Console(file=said, width=40), title="runs/[a]")
    rows = read_lines(config.out / "metrics.jsonl")
    lines = said.getvalue().splitlines()
    assert len(lines) == 3
    for epoch, line in enumerate(lines, start=1):
        mean = sum(row["loss"] for row in rows if row["step"] in (2 * epoch - 1, 2 * epoch)) / 2
        start = f"runs/[a]: epoch {epoch}/3, step {2 * epoch}, mean loss {mean:.3f}, "
        assert re.fullmatch(re.escape(start) + r"\d:\d\d:\d\d", line)


def test_a_resumed_run_counts_on(settings):
    train(settings(epochs=1))
    said = io.StringIO()
    train(settings(epochs=2), resume=True, console=Console(file=said))
    [line] = said.getvalue().splitlines()
    assert line.startswith("training: epoch 2/2, step 4, ")


def test_a_terminal_gets_a_bar():
    assert isinstance(progress("a", Console(file=io.StringIO(), force_terminal=True)), Bar)
    assert isinstance(progress("a", Console(file=io.StringIO())), EpochLines)
