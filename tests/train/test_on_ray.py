"""A run by two workers of a Ray cluster, one of which is killed, ends as one that was not."""

import os
import signal
import sys
import threading
import time

import pytest
from safetensors.torch import load_file

from kedge.cli import run
from kedge.files import read_lines
from kedge.train.result import load_result

COMMON = (
    "--image-size 64 96 --batch-size 6 --epochs 30 --log-every 1 --detector retinanet "
    "--num-anchors 1 --options width=16,depth=1 --optimiser sgd --lr 0.01 --devices 2"
)


def test_without_ray_it_says_what_to_install(mini, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    words = ["train", "--data", str(mini), "--out", str(tmp_path / "run"), "--on", "ray"]
    assert run(words) == 2
    assert "--on ray needs Ray: pip install 'kedge[ray]'" in capsys.readouterr().err
    assert run([*words[:-2], "--address", "auto"]) == 2
    assert "--address goes with --on ray" in capsys.readouterr().err


def kill_a_worker(log, killed: list[int]) -> None:
    """Once the run has done five steps, ``kill -9`` to one of the workers that train; keeps the
    number of steps that were done then."""
    import psutil

    while not log.exists() or len(read_lines(log)) < 5:
        time.sleep(0.05)
    for process in psutil.process_iter(["name", "cmdline"]):
        if "RayTrainWorker" in " ".join([process.info["name"], *(process.info["cmdline"] or [])]):
            os.kill(process.pid, signal.SIGKILL)
            killed.append(len(read_lines(log)))
            return


@pytest.mark.slow
def test_a_worker_is_killed_and_the_run_ends_as_if_it_had_not_been(mini, tmp_path):
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=3, log_to_driver=False, include_dashboard=False)
    try:
        words = ["train", "--data", str(mini), *COMMON.split(), "--on", "ray"]
        assert run([*words, "--out", str(tmp_path / "whole")]) == 0
        killed: list[int] = []
        log = tmp_path / "killed" / "metrics.jsonl"
        thread = threading.Thread(target=kill_a_worker, args=(log, killed), daemon=True)
        thread.start()
        assert run([*words, "--out", str(tmp_path / "killed")]) == 0
        thread.join(10)
    finally:
        ray.shutdown()
    whole, again = (load_result(tmp_path / name / "run.json") for name in ("whole", "killed"))
    assert 5 <= killed[0] < whole.steps
    assert (again.finished, again.steps, again.scores) == (True, whole.steps, whole.scores)
    weights = load_file(tmp_path / "whole" / "model.safetensors")
    for key, value in load_file(tmp_path / "killed" / "model.safetensors").items():
        assert value.equal(weights[key]), key


@pytest.mark.slow
def test_a_mistake_that_only_the_workers_see_costs_no_run(mini, tmp_path, capsys):
    ray = pytest.importorskip("ray")
    settings = COMMON.replace("--epochs 30", "--epochs 1").replace(" --devices 2", "")
    words = ["train", "--data", str(mini), *settings.split()]
    words += ["--out", str(tmp_path / "run")]
    assert run(words) == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.is_file()}
    ray.init(num_cpus=3, log_to_driver=False, include_dashboard=False)
    try:
        bad = [
            "--devices",
            "2",
            "--on",
            "ray",
            "--overwrite",
            "--learn-anchors",
            "--assign-cache",
            str(tmp_path),
        ]
        assert run([*words, *bad]) == 2
    finally:
        ray.shutdown()
    assert "assign_cache: shapes that are learned" in capsys.readouterr().err
    after = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.is_file()}
    assert after == before
