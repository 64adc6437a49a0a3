"""Damage of a single bit, anywhere in a file of weights or a checkpoint, is refused in one line."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from kedge.train.checkpoint import load_weights, save_weights
from kedge.train.checksum import check_stamp, unsealed
from kedge.train.lightning_io import AtomicCheckpointIO
from kedge.train.run import train
from kedge.train.saved import load_run

WEIGHTS = {"a": torch.tensor([1.0, -2.0]), "counter": torch.tensor(3)}
PARTS = ("state_dict", "loops", "callbacks", "optimizer_states", "lr_schedulers")
CHECKPOINT = {part: {} for part in PARTS} | {"state_dict": WEIGHTS, "epoch": 1}


def weights_file(folder: Path) -> Path:
    save_weights(folder / "w.safetensors", WEIGHTS, {"classes": ["a"], "levels": []})
    return folder / "w.safetensors"


def checkpoint_file(folder: Path) -> Path:
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT, folder / "last.ckpt")
    return folder / "last.ckpt"


def flipped(data: bytes, bit: int) -> bytes:
    byte = data[bit // 8] ^ 1 << bit % 8
    return data[: bit // 8] + bytes([byte]) + data[bit // 8 + 1 :]


@pytest.mark.parametrize(
    ("write", "check"), [(weights_file, check_stamp), (checkpoint_file, unsealed)]
)
def test_every_single_bit_and_every_cut_is_noticed(tmp_path, write, check):
    data = write(tmp_path).read_bytes()
    check(data)
    for bit in range(8 * len(data)):
        with pytest.raises(ValueError, match="checksum"):
            check(flipped(data, bit))
    for length in range(len(data)):
        with pytest.raises(ValueError, match="checksum"):
            check(data[:length])
    with pytest.raises(ValueError, match="checksum"):
        check(data + b"\0")


def refused(path: Path, load: Callable[[Path], object], count: int) -> int:
    """How many of `count` random bits, flipped one by one, `load` refuses in one line."""
    whole, found = path.read_bytes(), 0
    for bit in random.Random(0).sample(range(8 * len(whole)), count):
        path.write_bytes(flipped(whole, bit))
        with pytest.raises(ValueError, match=rf"{path.name}: truncated, damaged or not") as caught:
            load(path)
        found += "\n" not in str(caught.value)
    path.write_bytes(whole)
    load(path)
    return found


def test_of_200_flipped_bits_200_are_refused(tmp_path):
    assert refused(weights_file(tmp_path), load_weights, 200) == 200
    assert refused(checkpoint_file(tmp_path), AtomicCheckpointIO().load_checkpoint, 200) == 200


def test_so_are_those_in_the_megabytes_of_a_run(settings):
    config = settings(epochs=1)
    train(config)
    assert refused(config.out / "model.safetensors", load_weights, 10) == 10
    assert refused(config.out / "last.ckpt", AtomicCheckpointIO().load_checkpoint, 10) == 10


def test_a_damaged_file_stops_those_who_use_it(settings):
    config = settings(epochs=1)
    train(config)
    for name in ("model.safetensors", "last.ckpt"):
        path = config.out / name
        path.write_bytes(flipped(path.read_bytes(), 8 * 5000))
    with pytest.raises(ValueError, match=r"model.safetensors: .* does not match its checksum"):
        load_run(config.out)
    with pytest.raises(ValueError, match=r"last.ckpt: .* does not match its checksum; .*overwrite"):
        train(settings(epochs=2), resume=True)


def test_any_reader_of_safetensors_reads_the_weights(tmp_path):
    path = weights_file(tmp_path)
    found = load_file(path)
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], value) for name, value in WEIGHTS.items())
    with safe_open(path, framework="np") as file:
        facts = json.loads(file.metadata()["kedge"])
        assert file.get_tensor("a").tolist() == [1, -2]
    assert facts["classes"] == ["a"]
    assert len(facts["sha256"]) == 64
    assert len(set(facts["sha256"])) > 1


def test_torch_reads_a_checkpoint_and_the_same_one_gives_the_same_bytes(tmp_path):
    path = checkpoint_file(tmp_path)
    found = torch.load(path, weights_only=True)
    assert torch.equal(found["state_dict"]["a"], WEIGHTS["a"])
    assert AtomicCheckpointIO().load_checkpoint(path)["epoch"] == 1
    (tmp_path / "two").mkdir()
    assert checkpoint_file(tmp_path / "two").read_bytes() == path.read_bytes()


def foreign() -> dict[str, bytes]:
    """Files that are no checkpoint, and no weights of ours."""
    return {
        "empty": b"",
        "text": b"once upon a time\n" * 20,
        "safetensors of others": save(WEIGHTS, metadata={"format": "pt"}),
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(200),
    }


@pytest.mark.parametrize("kind", [*foreign(), "a folder", "torch's"])
def test_what_is_no_checkpoint_gets_one_line(tmp_path, kind):
    path = tmp_path / "last.ckpt"
    if kind == "a folder":
        path.mkdir()
    elif kind == "torch's":
        torch.save(CHECKPOINT, path)
    else:
        path.write_bytes(foreign()[kind])
    for load in (load_weights, AtomicCheckpointIO().load_checkpoint):
        with pytest.raises(ValueError, match=r"last.ckpt: (truncated|cannot be read)") as caught:
            load(path)
        assert "\n" not in str(caught.value)


def test_a_sealed_file_of_something_else_is_no_checkpoint(tmp_path):
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"last.ckpt: not a checkpoint of a run"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")
