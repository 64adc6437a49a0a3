"""Training by several processes: with half of each batch, two come to what one comes to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from train.two_ranks_job import RUNS, job, still

from kedge.data import toy
from kedge.files import read_lines
from kedge.train.config import make_config
from kedge.train.machines import check_machines, is_first
from kedge.train.result import load_result
from kedge.train.run import train
from kedge.train.sampler import EpochSampler

JOB = Path(__file__).with_name("two_ranks_job.py")
FILES = {"config.yaml", "last.ckpt", "metrics.jsonl", "model.safetensors", "run.json"}


def two_processes(data: Path, out: Path) -> None:
    """The job on two CPU processes, the second of which Lightning starts."""
    here = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    paths = [str(JOB.parent.parent.parent), here.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(JOB), str(data), str(out), "--devices", "2"],
        env=here | {"PYTHONPATH": os.pathsep.join(paths)}, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def near(one: object, two: object, where: str) -> None:
    """Sums in another order: equal in four digits after four steps."""
    if isinstance(one, list):
        assert isinstance(two, list), where
        assert len(one) == len(two), where
        for pair in zip(one, two):
            near(*pair, where)
    elif isinstance(one, float):
        assert two == pytest.approx(one, rel=2e-4, abs=1e-6), where
    else:
        assert one == two, where


@pytest.mark.slow  # losses, gradients and state are held equal in tests/contracts/test_ranks.py
def test_two_processes_come_to_what_one_comes_to(tmp_path, monkeypatch):
    """Also where they were stopped on the way (yolov2), and with an odd number of images in both
    splits: 13 to train on, of which 12 a pass, and 5 to score on."""
    data = toy.write(tmp_path / "data", train=13, val=5, size=(64, 96))
    two_processes(data, tmp_path / "two")
    monkeypatch.setattr(nn.modules.batchnorm._BatchNorm, "training", still, raising=False)
    job(str(data), tmp_path / "one", [])
    for name in RUNS:
        alone, together = tmp_path / "one" / name, tmp_path / "two" / name
        found = {path.name for path in together.iterdir()}
        assert found >= FILES
        assert found <= {*FILES, "shapes.jsonl", "scores.jsonl"}  # nothing half-written
        weights, others = load_file(alone / "model.safetensors"), together / "model.safetensors"
        for key, value in load_file(others).items():
            scale = 2e-4 * float(weights[key].abs().max())
            torch.testing.assert_close(
                value, weights[key], rtol=2e-4, atol=scale,
                msg=lambda said, where=f"{name}: {key}": f"{where}: {said}",
            )  # fmt: skip
        for log in ("metrics.jsonl", "shapes.jsonl"):
            if (alone / log).exists():
                rows, other = read_lines(alone / log), read_lines(together / log)
                assert len(rows) == len(other) > 2
                for row, same in zip(rows, other):
                    assert row.keys() == same.keys()
                    for key in row:
                        near(row[key], same[key], f"{name}, {log}, step {row['step']}: {key}")
        result, same = load_result(alone / "run.json"), load_result(together / "run.json")
        assert (same.finished, same.steps) == (True, result.steps)
        for key, value in result.scores.items():
            near(value, same.scores[key], f"{name}: {key}")
    rows, same = (torch.load(tmp_path / n / "found.pt") for n in ("one", "two"))
    assert len(rows) == len(same) == 5
    for row, other in zip(rows, same):
        assert len(row["scores"]) == len(other["scores"]) > 0
        torch.testing.assert_close(other["scores"], row["scores"], rtol=1e-3, atol=1e-5)


def test_ranks_share_the_batches_of_one_process():
    def of(rank: int, ranks: int) -> list[int]:
        sampler = EpochSampler(14, 3, batch=6, rank=rank, ranks=ranks)
        indices = [index for _, index in sampler]
        assert len(sampler) == len(indices)
        return indices

    whole = of(0, 1)
    assert sorted(whole) == list(range(14))
    parts = [of(rank, 3) for rank in range(3)]
    for step in range(2):
        batch = [index for part in parts for index in part[2 * step : 2 * step + 2]]
        assert batch == whole[6 * step : 6 * step + 6]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"devices": 2, "batch_size": 7}, "2 processes cannot share 7 images evenly; take a mul"),
        ({"devices": 2, "nodes": 3, "batch_size": 8}, "6 processes cannot share 8 images"),
        ({"sync_batchnorm": True}, "sync_batchnorm: needs CUDA devices; without it"),
    ],
)
def test_what_cannot_be_shared_is_refused_by_name(values, said, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=said):
        check_machines(make_config(values))


def test_fewer_images_than_a_batch_are_refused_for_several_processes(settings):
    config = settings(devices=2, batch_size=16)
    with pytest.raises(ValueError, match="16 is more than the 12 training images, which 2 proc"):
        train(config)


@pytest.mark.parametrize(
    ("known", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),
        ({"LOCAL_RANK": "1"}, False),
        ({"NODE_RANK": "1"}, False),
        ({"NODE_RANK": "0", "LOCAL_RANK": "0", "SLURM_PROCID": "0"}, True),
        ({"SLURM_PROCID": "3"}, False),
    ],
)
def test_one_process_alone_is_the_first(known, first, monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    assert is_first(make_config({"devices": 2, "nodes": 2, "batch_size": 4})) is first
    assert is_first(make_config({}))
