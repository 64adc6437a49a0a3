"""`kedge ... | head -1`: the reader leaves early, and nobody says a word."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kedge.data import toy


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write(tmp_path_factory.mktemp("data") / "mini", train=4, val=2, size=(64, 96))


def with_a_reader_gone(
    *words: str, both: bool = False, unbuffered: bool = False
) -> tuple[int, str]:
    """Exit status and standard error of ``kedge words`` writing into a pipe that nobody reads;
    `both`: standard error goes there too."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, *(["-u"] if unbuffered else []), "-m", "kedge", *words],
            stdout=write,
            stderr=write if both else subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": "error"},
            check=False,
        )
    finally:
        os.close(write)
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize(
    "command",
    ["--help", "data", *(pytest.param(c, marks=pytest.mark.slow) for c in ("design", "doctor"))],
)
def test_a_reader_that_left_ends_a_command_in_silence(command, mini):
    """`data` prints plainly, the others through rich; all with little output, which stays in a
    buffer until the end."""
    words = {"doctor": ["doctor", "--data", str(mini)], "--help": ["--help"]}
    assert with_a_reader_gone(*words.get(command, [command, str(mini)])) == (141, "")


def test_files_are_written_before_the_words(mini, tmp_path):
    """Unbuffered, the first word already fails: the file asked for is there all the same."""
    quick = ["--k", "2", "--restarts", "1", "--no-curve", "--no-compare"]
    for command in (["design", str(mini), *quick], ["doctor", "--data", str(mini)]):
        out = tmp_path / f"{command[0]}.json"
        assert with_a_reader_gone(*command, "--json", str(out), unbuffered=True) == (141, "")
        assert out.is_file()


def test_a_reader_that_left_in_the_middle(mini):
    """More output than the pipe and the buffers hold, and a reader that takes one line."""
    code = "for i in range(100_000): print(i)"
    lines = f"import sys, kedge.cli as cli\ncli.app = lambda words, **_: exec({code!r})\ncli.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", lines], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "0\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 141


def test_a_mistake_keeps_its_status_where_nobody_reads_of_it():
    assert with_a_reader_gone("nonesuch", both=True) == (2, "")


def test_another_broken_pipe_is_not_kept_quiet():
    """One inside a command, while the output is read."""
    code = (
        "import kedge.cli as cli\n"
        "def fail(words, **_): raise BrokenPipeError(32, 'Broken pipe')\n"
        "cli.app = fail\n"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "kedge: [Errno 32] Broken pipe\n")
