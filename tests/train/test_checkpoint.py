"""Weights that are cut off, of another detector, or of another run are refused in clear words."""

import pytest
import torch
from torch import nn

from kedge.train.checkpoint import check_shapes, fit_weights, load_weights, save_weights


class Model(nn.Module):
    def __init__(self, shapes=2, width=3):
        super().__init__()
        self.layer = nn.Linear(2, width)
        self.shapes = nn.Module()
        self.shapes.log_shapes = nn.Parameter(torch.arange(2.0 * shapes).reshape(shapes, 2))


def save(path, model, facts=None):
    save_weights(path, model.state_dict(), facts or {"b": 1, "a": [2]})
    return path


def test_the_same_weights_give_the_same_bytes_and_come_back(tmp_path):
    model = Model()
    one, two = save(tmp_path / "1.safetensors", model), save(tmp_path / "2.safetensors", model)
    assert one.read_bytes() == two.read_bytes()
    other = Model()
    fit_weights(other, load_weights(one), one)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters()))


def test_a_truncated_or_foreign_file_is_named(tmp_path):
    path = save(tmp_path / "w.safetensors", Model())
    whole = path.read_bytes()
    for part in (whole[:-7], whole[:5], b"", b"not weights at all, but long enough"):
        path.write_bytes(part)
        with pytest.raises(ValueError, match=r"w.safetensors: truncated, damaged or not"):
            load_weights(path)
    with pytest.raises(ValueError, match=r"none.safetensors: no such file"):
        load_weights(tmp_path / "none.safetensors")


def test_another_number_of_shapes_is_said(tmp_path):
    path = save(tmp_path / "w.safetensors", Model(shapes=3))
    with pytest.raises(ValueError, match="holds 3 anchor shapes, the detector has 2"):
        fit_weights(Model(), load_weights(path), path)


def test_another_detector_is_said(tmp_path):
    path = save(tmp_path / "w.safetensors", Model(width=4))
    with pytest.raises(ValueError, match=r"layer.bias is \(4,\), not \(3,\)"):
        fit_weights(Model(), load_weights(path), path)
    weights = load_weights(path)
    weights["stray"] = weights.pop("layer.bias")
    with pytest.raises(ValueError, match=r"lacks layer.bias; has stray"):
        fit_weights(Model(), weights, path)


def test_shapes_must_be_those_of_the_run(tmp_path):
    log = torch.tensor([[10.0, 20.0], [30.0, 40.0]]).log()
    path = tmp_path / "w.safetensors"
    check_shapes({"shapes.log_shapes": log}, [[10, 20], [30, 40]], path)
    with pytest.raises(ValueError, match=r"anchor shape 1 is 30.00 x 40.00, run.json says 30.00 x"):
        check_shapes({"shapes.log_shapes": log}, [[10, 20], [30, 44]], path)
    with pytest.raises(ValueError, match=r"holds 2 anchor shapes, run.json speaks of 1"):
        check_shapes({"shapes.log_shapes": log}, [[10, 20]], path)
    with pytest.raises(ValueError, match="not finite"):
        check_shapes({"shapes.log_shapes": log * torch.nan}, [[10, 20], [30, 40]], path)
    with pytest.raises(ValueError, match="holds no anchor shapes"):
        check_shapes({}, [[10, 20]], path)
