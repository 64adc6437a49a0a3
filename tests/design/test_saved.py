"""Designs in files: what is written is read, and what is damaged is named."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kedge.anchors.presets import Preset
from kedge.design import BoxTable, DesignSettings, design_command, load_design
from kedge.design.rivals import in_use
from kedge.files import write_json

GOOD = {
    "image_size": [480, 640],
    "offset": 0.5,
    "resize": "stretch",
    "levels": [{"stride": 16, "shapes": [[30, 20.5]]}, {"stride": 8, "shapes": [[4, 5], [9, 7]]}],
}


def boxes(n: int = 60) -> BoxTable:
    random = np.random.default_rng(0)
    wh = random.lognormal(3.5, 0.6, (n, 2)).clip(4, 200)
    corner = random.random((n, 2)) * 200
    return BoxTable(
        xyxy=np.concatenate([corner, corner + wh], 1).astype(np.float32),
        size=np.full((n, 2), (480, 640), np.float32),
        image=np.arange(n) // 3,
        label=np.zeros(n, np.int64),
    )


def test_by_hand(tmp_path):
    path = tmp_path / "d.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8-sig")
    found = load_design(path)
    assert isinstance(found, Preset)
    assert (found.strides, found.offset, found.image_size) == ((8, 16), 0.5, (480, 640))
    assert found.shapes == ((4, 5), (9, 7), (30, 20.5))
    assert found.resize == "stretch"


@pytest.mark.parametrize("words", [{"k": 5}, {"layout": "pyramid", "strides": (8.0, 16.0)}])
def test_what_a_design_writes_is_the_design(tmp_path, words):
    settings = DesignSettings(
        **words, image_size=(480, 640), offset=0.25, restarts=4, curve=False, compare=False
    )
    report = design_command(boxes(), settings)
    write_json(tmp_path / "d.json", report.to_dict())
    found = load_design(tmp_path / "d.json")
    assert (found.image_size, found.offset) == ((480, 640), 0.25)
    assert list(found.levels) == sorted(report.levels)
    assert torch.equal(
        torch.tensor(sorted(found.shapes)), torch.tensor(sorted(report.design.shapes.tolist()))
    )


def test_a_design_in_use_is_judged_where_it_stands(tmp_path):
    """Its own levels, not an even split: shapes of the coarse level alone serve no small object."""
    settings = DesignSettings(k=4, restarts=4, curve=False)
    report = design_command(boxes(), settings)
    path = tmp_path / "d.json"
    write_json(path, report.to_dict())
    again = design_command(
        boxes(), DesignSettings(k=4, restarts=4, curve=False, in_use=str(path), baselines=())
    )
    assert again.verdict is not None
    assert (again.verdict.keep, again.verdict.in_use) == (str(path), True)
    own = in_use(str(path))
    assert isinstance(own, Preset)
    assert own.name == str(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": None}, "levels: expected a list"),
        ({"levels": []}, "levels: expected a list"),
        ({"levels": [3]}, r"levels\[0\]: expected a stride"),
        ({"levels": [{"stride": 0, "shapes": [[1, 1]]}]}, "stride: expected a positive"),
        ({"levels": [{"stride": True, "shapes": [[1, 1]]}]}, "stride: expected a number"),
        ({"levels": [{"stride": 8, "shapes": []}]}, "shapes: expected a list"),
        ({"levels": [{"stride": 8, "shapes": [[1]]}]}, r"expected \[w, h\]"),
        ({"levels": [{"stride": 8, "shapes": [[1, -2]]}]}, "must be positive"),
        ({"levels": [{"stride": 8, "shapes": [["1", 2]]}]}, "expected a number"),
        ({"levels": [{"stride": 8, "shapes": [[float("nan"), 2]]}]}, "expected a number"),
        ({"offset": 3}, "offset"),
        ({"offset": 10**400}, "offset: expected a number"),
        ({"image_size": [640, 10**400]}, "image_size: expected"),
        ({"image_size": 640}, "image_size: expected"),
        ({"image_size": [640, 0]}, "image_size: expected"),
        ({"resize": "crop"}, "resize: expected"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, change, message):
    path = tmp_path / "d.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(ValueError, match=message) as caught:
        load_design(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("key", ["levels", "offset", "image_size"])
def test_a_missing_entry_is_named(tmp_path, key):
    path = tmp_path / "d.json"
    path.write_text(json.dumps({k: v for k, v in GOOD.items() if k != key}))
    with pytest.raises(ValueError, match=f"lacks '{key}'"):
        load_design(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\xff", '{"levels": 1e999}', "3"])
def test_damaged_files_end_in_one_error(tmp_path, text):
    path = tmp_path / "d.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"d\.json"):
        load_design(path)
    with pytest.raises(ValueError, match="no such file"):
        load_design(tmp_path / "none.json")
    with pytest.raises(ValueError, match="no such file"):
        load_design(tmp_path)


@given(st.data())
def test_any_flipped_byte_is_refused_or_leaves_a_usable_design(tmp_path_factory, data):
    text = bytearray(json.dumps(GOOD).encode())
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("flip") / "d.json"
    path.write_bytes(bytes(text))
    try:
        found = load_design(path)
    except ValueError:
        return
    assert min(found.strides) > 0
    assert min(side for shape in found.shapes for side in shape) > 0
    assert min(found.image_size) > 0
