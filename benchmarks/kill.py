"""Runs that are killed (SIGKILL) at random moments, resumed, and compared with one that was not.

    python benchmarks/kill.py                # 50 kills; writes results/kill.json
    make kill                                # the same, as a test

A run of a few seconds on a dozen drawn images begins (its settings are written), is killed at a
moment drawn from its whole length, up to its last file, and goes on with ``resume``; one in four is
killed once more on its way. Afterwards every file must equal, bit for bit, that of the run which
was never killed (of the checkpoint its values, of run.json all but the seconds), and no other file
may lie in the folder. Between kill and resume, weights that are there must be whole.

Processes are forked from one that has everything imported, so a start costs no import. The moments
follow the clock: the seed gives the same draws, not the same instructions.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from _record import ROOT, record, table

sys.path.insert(0, str(ROOT))

import kedge.train.fit  # noqa: F401 - imported once, for all forks
from kedge.data import toy
from kedge.files import read_lines
from kedge.train.checkpoint import load_weights
from kedge.train.config import TrainConfig, load_config, make_config
from kedge.train.lightning_io import AtomicCheckpointIO
from kedge.train.run import train

AGAIN = 0.25  # share of runs that are killed a second time


def settings(folder: Path) -> TrainConfig:
    """Six epochs of two steps with learned shapes, scored every second epoch."""
    data = toy.write(folder / "data", train=12, val=4, size=(64, 96))
    return make_config(
        {
            "data": str(data),
            "image_size": (64, 96),
            "batch_size": 6,
            "epochs": 6,
            "eval_every": 2,
            "log_every": 1,
            "learn_anchors": True,
            "anchors": "identical",
            "warmup_steps": 5,
        }
    )


def start(config: TrainConfig) -> int:
    """The id of a process of its own that trains, or goes on training, into `config.out`."""
    child = os.fork()
    if child:
        return child
    try:
        train(config, resume=True)
        os._exit(0)
    except BaseException as error:
        print(f"{config.out}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def has_ended(child: int, *, wait: bool = False) -> bool:
    """Whether the process is over; ``SystemExit`` where it failed."""
    found, status = os.waitpid(child, 0 if wait else os.WNOHANG)
    if found and os.waitstatus_to_exitcode(status):
        sys.exit(f"a run failed with status {os.waitstatus_to_exitcode(status)}")
    return bool(found)


def wait_until_begun(config: TrainConfig, child: int) -> None:
    while not (config.out / "config.yaml").exists() and not has_ended(child):
        time.sleep(0.001)


def undisturbed(config: TrainConfig) -> float:
    """Trains without a kill; the seconds from begin to end."""
    child = start(config)
    wait_until_begun(config, child)
    begin = time.monotonic()
    has_ended(child, wait=True)
    return time.monotonic() - begin


def kill(config: TrainConfig, delay: float) -> dict[str, Any] | None:
    """Starts or resumes, kills after `delay` seconds; what was found then, or None where the run
    was over before that."""
    child = start(config)
    wait_until_begun(config, child)
    end = time.monotonic() + delay
    while time.monotonic() < end:
        if has_ended(child):
            return None
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        return None
    weights = config.out / "model.safetensors"
    if weights.exists():
        load_weights(weights)  # raises where they are not whole
    steps = [row["step"] for row in read_lines(config.out / "metrics.jsonl")]
    parts = [path.name for path in config.out.iterdir() if path.suffix == ".part"]
    return {
        "after_s": round(delay, 3),
        "step": max(steps, default=0),
        "checkpoint": (config.out / "last.ckpt").exists(),
        "parts": len(parts),
    }


def content(folder: Path) -> dict[str, Any]:
    """Every file of a run, without what must differ: the folder's name, and the seconds."""
    found: dict[str, Any] = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    checkpoint = AtomicCheckpointIO().load_checkpoint(folder / "last.ckpt")
    found["last.ckpt"] = plain(checkpoint)  # pickle's bytes go by which equal texts are one object
    found["config.yaml"] = load_config(folder / "config.yaml", {"out": Path("run")})
    values = json.loads(found["run.json"])
    found["run.json"] = {k: v for k, v in values.items() if not k.startswith("seconds")}
    return found


def plain(value: Any) -> Any:
    """`value` with tensors as type, shape and bytes."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def killed_runs(folder: Path, kills: int, seed: int) -> list[dict[str, Any]]:
    """`kills` kills, a row each; the last kill of a run says whether it came out the same."""
    torch.set_num_threads(1)
    rng, rows = random.Random(seed), list[dict[str, Any]]()
    config = settings(folder)
    whole = config.model_copy(update={"out": folder / "whole"})
    length = undisturbed(whole)
    expected = content(whole.out)
    while len(rows) < kills:
        config = config.model_copy(update={"out": folder / f"run-{len(rows)}"})
        while (row := kill(config, rng.uniform(0, length))) is None:
            shutil.rmtree(config.out)  # over too soon: another moment
        mine = [row]
        if len(rows) + 1 < kills and rng.random() < AGAIN:
            again = kill(config, rng.uniform(0, length))
            mine += [again] if again is not None else []
        has_ended(start(config), wait=True)
        found = content(config.out)
        names = found.keys() | expected.keys()
        mine[-1]["differ"] = sorted(n for n in names if found.get(n) != expected.get(n))
        mine[-1]["stray"] = sorted(found.keys() - expected.keys())
        rows += mine
        shutil.rmtree(config.out)
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, int]:
    """The figures of all rows."""
    ends = [row for row in rows if "differ" in row]
    return {
        "kills": len(rows),
        "runs": len(ends),
        "identical": sum(not row["differ"] for row in ends),
        "with_stray_files": sum(bool(row["stray"]) for row in ends),
        "killed_before_a_checkpoint": sum(not row["checkpoint"] for row in rows),
        "killed_while_writing": sum(bool(row["parts"]) for row in rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = killed_runs(Path(folder), options.kills, options.seed)
    figures, seconds = summary(rows), round(time.monotonic() - begin)
    print(table([figures | {"seconds": seconds}]))
    if not options.no_record:
        words = f"python benchmarks/kill.py --kills {options.kills} --seed {options.seed}"
        record("kill", words, rows, options.seed, summary=figures, seconds=seconds)
    if figures["identical"] < figures["runs"]:
        sys.exit("not every run came out the same")


if __name__ == "__main__":
    main()
