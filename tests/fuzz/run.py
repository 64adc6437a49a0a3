"""Damage small data sets of every form, read them, and look at what happens.

    PYTHONPATH=tests python -m fuzz --inputs 100000 --out results/fuzz_readers.json

Whatever the damage, `kedge.data.read` may do two things only: return boxes that are right by a
second reading with other means, or raise a `ValueError` that names the folder and can be printed;
in less than five seconds. Input i of a seed is always the same: --only i shows it again.
"""

import contextlib
import io
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from fuzz.damage import DAMAGES
from fuzz.sets import SETS
from fuzz.truth import wrong_boxes
from kedge.data import read
from kedge.design.table import TABLES, read_table

SLOW, KILL = 5.0, 30
_FILES = {
    "jsonl": "boxes.jsonl",
    "npz": "boxes.npz",
    "npz_plain": "boxes.npz",
    "vott": "vott-csv-export.csv",
    "semicolons": "boxes.csv",
    "parquet": "boxes.parquet",
}


class Hang(BaseException):
    """An input took longer than KILL seconds."""


@dataclass
class Tally:
    """What became of the inputs; `faults` are (number, form, what)."""

    inputs: int = 0
    refused: int = 0
    read: int = 0
    boxes: int = 0
    tables: int = 0
    unchecked: int = 0
    slowest: float = 0.0
    slowest_input: int = -1
    forms: Counter = field(default_factory=Counter)
    faults: list[tuple[int, str, str]] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        kinds = Counter(what.split(":", 1)[0] for _, _, what in self.faults)
        return {
            "inputs": self.inputs,
            "refused_in_words": self.refused,
            "read": self.read,
            "boxes_kept_and_checked": self.boxes,
            "tables_read_for_design": self.tables,
            "read_and_not_checked": self.unchecked,
            "faults": dict(kinds),
            "slowest_seconds": round(self.slowest, 3),
            "slowest_input": self.slowest_input,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "forms": dict(sorted(self.forms.items())),
        }


def pristine(work: Path) -> dict[str, dict[str, bytes]]:
    """The sound files of every form, by their relative paths."""
    found = {}
    for name, make in SETS.items():
        folder = work / f"sound_{name}"
        make(folder)
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        found[name] = {str(p.relative_to(folder)): p.read_bytes() for p in files}
        shutil.rmtree(folder)
    return found


def damaged(folder: Path, files: dict[str, bytes], random: Random) -> None:
    """Write the files of a sound set into `folder`, and damage one to three things in it."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    paths = [folder / name for name in files]
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        left = [path for path in paths if path.is_file() and not path.is_symlink()]
        if left:
            random.choice(DAMAGES)(folder, left, random)


@contextlib.contextmanager
def _limit() -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(KILL)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def try_one(folder: Path, form: str, random: Random, tally: Tally) -> str | None:
    """Read one damaged set; what is wrong with the answer, or None."""
    path = folder / _FILES[form] if form in _FILES and random.random() < 0.9 else folder
    mode = random.choice(("drop", "drop", "drop", "clip", "clip", "error"))
    look = random.random() < 0.7
    start = time.perf_counter()
    try:
        with _limit():
            data = read(path, on_bad_box=mode, check_images=look)
    except Hang:
        return f"hang: more than {KILL} s"
    except ValueError as problem:
        tally.refused += 1
        text = str(problem)
        if not all(line.isprintable() for line in text.split("\n")):
            return f"unprintable: {text[:200]!r}"
        if folder.name not in text:
            return f"unnamed: {text[:200]}"
        return _slow(start, tally)
    except BaseException as problem:
        where = traceback.extract_tb(problem.__traceback__)[-1]
        return f"{type(problem).__name__}: {str(problem)[:150]} ({where.filename}:{where.lineno})"
    tally.read += 1
    slow = _slow(start, tally) or _designed(path, tally)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrong = wrong_boxes(data, folder)
    for finding in data.findings:
        if not str(finding).isprintable():
            return f"unprintable: {str(finding)[:200]!r}"
    if not all(name.isprintable() for name in (*data.classes, *(r.name for r in data.records))):
        return "unprintable: a name"
    if wrong is None:
        tally.unchecked += 1
    else:
        tally.boxes += data.num_boxes
    return f"wrong box: {wrong[0]}" if wrong else slow


def _designed(path: Path, tally: Tally) -> str | None:
    """The table as `kedge design` reads it: boxes, or a refusal in words."""
    if not path.is_file() or path.suffix not in (".npz", *TABLES):
        return None
    try:
        table = read_table(path)
    except ValueError as problem:
        return None if path.name in str(problem) else f"unnamed: {str(problem)[:200]}"
    except BaseException as problem:
        where = traceback.extract_tb(problem.__traceback__)[-1]
        return f"{type(problem).__name__}: {str(problem)[:150]} ({where.filename}:{where.lineno})"
    tally.tables += 1
    lengths = {len(table.xyxy), len(table.size), len(table.image), len(table.label)}
    return None if len(lengths) == 1 and (table.size > 0).all() else "wrong box: a table of boxes"


def _slow(start: float, tally: Tally) -> str | None:
    seconds = time.perf_counter() - start
    if seconds > tally.slowest:
        tally.slowest, tally.slowest_input = seconds, tally.inputs - 1
    return f"slow: {seconds:.1f} s" if seconds > SLOW else None


def fuzz(
    inputs: int,
    seed: int = 0,
    minutes: float = 1e9,
    only: int | None = None,
    keep: Path | None = None,
) -> Tally:
    """`inputs` damaged sets, or as many as `minutes` let; `only` one of them, left in `keep`."""
    tally = Tally()
    end = time.perf_counter() + 60 * minutes
    work = keep or Path(tempfile.mkdtemp(prefix="fuzz"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        sound = pristine(work)
        for number in range(inputs) if only is None else [only]:
            if time.perf_counter() > end:
                break
            random = Random(f"{seed} {number}")
            form = random.choice(list(SETS))
            folder = work / f"set-{form}"
            damaged(folder, sound[form], random)
            tally.inputs += 1
            tally.forms[form] += 1
            fault = try_one(folder, form, random, tally)
            if fault is not None:
                tally.faults.append((number, form, fault))
            if keep is None:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        if keep is None:
            shutil.rmtree(work, ignore_errors=True)
    return tally


def fuzz_command_line(inputs: int, seed: int = 0) -> list[tuple[int, str, str]]:
    """`kedge data` on damaged sets: exit status 0 or 2, and one line for a mistake."""
    from kedge.cli import run

    faults = []
    with tempfile.TemporaryDirectory(prefix="fuzz") as name:
        work = Path(name)
        sound = pristine(work)
        for number in range(inputs):
            random = Random(f"{seed} line {number}")
            form = random.choice(list(SETS))
            folder = work / f"set-{form}"
            damaged(folder, sound[form], random)
            out, err = io.StringIO(), io.StringIO()
            try:
                with _limit(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                    status = run(["data", str(folder)])
            except BaseException as problem:
                faults.append((number, form, f"{type(problem).__name__}: {str(problem)[:200]}"))
                continue
            said = err.getvalue()
            if status not in (0, 2) or (status == 2 and said.count("\n") != 1):
                faults.append((number, form, f"status {status}: {said[:200]!r}"))
            if "\x1b" in out.getvalue() + said:
                faults.append((number, form, "an escape was sent to the terminal"))
            shutil.rmtree(folder, ignore_errors=True)
    return faults
