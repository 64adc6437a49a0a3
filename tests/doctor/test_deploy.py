"""``kedge doctor --deploy``: objects in cells at the size where a detector is to work."""

from dataclasses import replace

import numpy as np
import pytest

from kedge.cli import run
from kedge.doctor import Context, of_detector
from kedge.doctor import deploy as module
from kedge.doctor.deploy import deploy
from kedge.doctor.deployment import SizeBand


def squares(*sides):
    """Boxes (n, 4) of the sides, from the corner of an image of 200 x 300."""
    return [[0, 0, side, 2 * side if side < 90 else side] for side in sides]


def context(make_data, boxes, detector=None):
    setup = None if detector is None else of_detector(detector, (192, 320))
    return Context(data=make_data([boxes]), setup=setup)


def test_sides_are_counted_in_cells_at_the_deployed_size(make_data):
    half = deploy(context(make_data, squares(16, 32, 64, 96)), (100, 150))
    assert half is not None
    assert half.stride == 8.0
    assert (half.smallest, half.middle) == (1.0, 3.0)  # 8, 16, 32, 48 px
    assert [(band.name, band.share) for band in half.bands] == [
        ("1-2 cells", 0.25), ("2-4 cells", 0.25), ("4-8 cells", 0.5),
    ]  # fmt: skip
    assert half.below == 0.0
    assert half.finding().severity == "note"


def test_the_stride_is_the_detectors_finest(make_data):
    found = deploy(context(make_data, squares(32), "yolov2"), (200, 300))
    assert found is not None
    assert found.stride == 32.0
    assert found.smallest == 1.0


def test_what_is_too_small_is_told_what_it_needs(make_data):
    small = deploy(context(make_data, squares(*[12] * 20)), (100, 150))  # 6 px, .75 cells
    assert small is not None
    assert small.below == 1.0
    assert small.size_needed == (160, 224)  # a third more, in steps of 32
    assert small.stride_needed == 4.0
    finding = small.finding()
    assert finding.severity == "warning"
    assert "an input of 160 x 224, or a stride of 4" in finding.symptom
    assert finding.cure.startswith("--image-size 160 224")


def test_the_sides_of_the_needed_size_are_enough(make_data):
    data = context(make_data, squares(*np.linspace(3, 20, 40)))
    found = deploy(data, (100, 150))
    assert found is not None
    again = deploy(data, found.size_needed)
    assert again is not None
    assert again.below <= 0.05
    finer = replace(found, stride=found.stride_needed, low=found.low * 8 / found.stride_needed)
    assert finer.low >= finer.needed


def test_a_run_measures_from_which_size_on_objects_are_found():
    band = SizeBand(low=1.0, share=0.5, tried=50, recall=0.2)
    good = replace(band, low=2.0, recall=0.9)
    assert module._needed((band, good)) == 2.0
    assert module._needed((replace(band, recall=0.85), good)) == 1.0
    assert module._needed((replace(band, tried=3), good)) == 2.0
    assert module._needed((replace(band, recall=0.0),)) is None
    assert module._needed((replace(band, recall=None),)) is None


def test_without_objects_there_is_nothing_to_say(make_data):
    assert deploy(context(make_data, []), (100, 150)) is None


def test_the_command_says_it_in_words_and_as_a_finding(tmp_path, capsys):
    out = tmp_path / "found.json"
    words = ["doctor", "--data", "toy", "--detector", "ssd", "--deploy", "64x80"]
    assert run([*words, "--json", str(out)]) == 0
    said = capsys.readouterr().out
    assert "deployed at 64 x 80: the smallest object has" in said
    assert "deployed_size" in out.read_text()
    assert run([*words[:-1], "what"]) == 2
    assert "--deploy" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_is_tried_at_that_size(tmp_path, capsys):
    folder = tmp_path / "run"
    words = ["--data", "toy", "--detector", "yolov2", "--epochs", "1", "--quiet"]
    assert run(["train", *words, "--out", str(folder)]) == 0
    assert run(["doctor", "--run", str(folder), "--deploy", "128", "160"]) == 0
    said = capsys.readouterr().out
    assert "ms an image here" in said
    assert "at this size" in said
