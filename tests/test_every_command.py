"""Every detector through every command, as a user types them: on a few drawn images, not square."""

import json
from pathlib import Path

import pytest

from kedge.cli import run
from kedge.data import read, toy
from kedge.detectors import DETECTORS

pytestmark = pytest.mark.slow
SIZE = (128, 160)
BARE = ("fast_rcnn", "rcnn", "cornernet", "extremenet", "denet")  # no anchors to look at


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write(tmp_path_factory.mktemp("data") / "mini", train=6, val=4, size=SIZE)


def said(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> str:
    """What a command prints, once it has ended with ``status``."""
    capsys.readouterr()
    found = run([str(word) for word in words])
    out, err = capsys.readouterr()
    assert found == status, err
    assert "Traceback" not in out + err
    return out + err


@pytest.mark.parametrize("name", DETECTORS)
def test_every_command_takes_it(name, mini, tmp_path, capsys):
    out, size = tmp_path / "run", ("--image-size", *SIZE)
    data = ("--data", mini)
    words = (*data, "--detector", name, *size, "--epochs", 2, "--batch-size", 3, "--quiet")
    said(capsys, "train", *words, "--out", out)
    facts = json.loads((out / "run.json").read_text())
    assert facts["finished"]
    assert facts["detector"] == name

    said(capsys, "evaluate", out, "--json", tmp_path / "scores.json", "--split", "val")
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["scores"]["AP50"] == pytest.approx(facts["scores"]["AP50"], abs=1e-6)

    first = read(mini, split="val").records[0]
    found, picture = tmp_path / "found.json", tmp_path / "found.png"
    said(capsys, "predict", out, first.file, "--json", found, "--save", picture, "--min-score", 0)
    for box in json.loads(found.read_text()):
        assert 0 <= box["score"] <= 1
        x, y, w, h = box["bbox"]
        assert min(x, y, w, h) >= 0
        assert x + w <= first.width + 1e-3
        assert y + h <= first.height + 1e-3
    assert picture.stat().st_size > 0

    page = tmp_path / "doctor.html"
    words = ("doctor", *data, "--detector", name, *size)
    if name in BARE:
        assert "has no anchors that could be looked at" in said(capsys, *words, status=2)
    else:
        assert "objects" in said(capsys, *words)
    said(capsys, "doctor", "--run", out, "--html", page)
    report = tmp_path / "report.html"
    said(capsys, "report", "--run", out, "--out", report)
    assert "<html" in page.read_text().lower()
    assert "<html" in report.read_text().lower()

    table = tmp_path / "assign.json"
    words = ("assign", *data, "--run", out, "--json", table)
    if name in BARE:
        assert name in said(capsys, *words, status=2)
        return
    said(capsys, *words)
    objects = sum(len(record.labels) for record in read(mini, split="train").records)
    rows = json.loads(table.read_text())["rows"]
    told = [row for row in rows if "objects" in row]
    assert told
    assert all(row["objects"] == objects for row in told)
    for row in rows:  # a rule that asks for what is not there says so; classes are there
        assert row in told or "class" not in row["note"]
