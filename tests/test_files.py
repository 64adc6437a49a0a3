"""Files that are written whole or not at all."""

import json

import pytest

from kedge.files import append_line, forget_after, read_lines, replacing, write_json


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as part:
            part.write_text("half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_numbers_that_json_lacks_become_null(tmp_path):
    write_json(tmp_path / "a.json", {"AP": float("nan"), "n": [1.5, float("inf")], 3: (1,)})
    assert json.loads((tmp_path / "a.json").read_text()) == {"AP": None, "n": [1.5, None], "3": [1]}


def test_lines_survive_a_crash_and_later_steps_are_forgotten(tmp_path):
    path = tmp_path / "m.jsonl"
    for step in (1, 2, 3):
        append_line(path, {"step": step, "loss": step / 2})
    with path.open("a") as file:
        file.write('{"step": 4, "lo')  # killed here
    assert [row["step"] for row in read_lines(path)] == [1, 2, 3]
    forget_after(path, 2)
    assert read_lines(path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 1.0}]
    forget_after(tmp_path / "none.jsonl", 0)  # nothing to forget is fine


def test_damage_elsewhere_is_an_error(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": \n{"step": 2}\n')
    with pytest.raises(ValueError, match=r"m.jsonl, line 1"):
        read_lines(path)
