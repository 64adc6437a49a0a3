"""``kedge.load``: a run folder or a weights file gives back the detector that was trained."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import kedge
from kedge.data import read
from kedge.train.checkpoint import save_weights
from kedge.train.config import make_config
from kedge.train.loading import read_facts
from kedge.train.run import train
from kedge.train.saved import load_run

MODEL = {
    "detector": "retinanet",
    "assign": {"name": "autoassign"},  # has parameters of every class
    "coder": {"name": "distribution", "reg_max": 4},
    "loss": {"box": "distribution"},
    "selection": {"score": 0.001, "most": 7},
    "options": {"width": 16, "depth": 1},
    "num_anchors": 2,
}


@pytest.fixture(scope="module")
def trained(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose detector differs from the default in every part that a header must tell."""
    out = tmp_path_factory.mktemp("runs") / "a"
    base = {"data": str(mini), "image_size": (64, 96), "batch_size": 12, "epochs": 1, "out": out}
    train(make_config(base | MODEL))
    return out


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def same(one, other):
    a, b = one.state_dict(), other.state_dict()
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_folder_and_its_weights_alone_give_the_same_detector(trained, mini, tmp_path):
    whole = kedge.load(trained)
    alone = tmp_path / "mine.safetensors"
    shutil.copy(trained / "model.safetensors", alone)
    data = read(str(mini), "val")
    for detector in (whole, kedge.load(str(alone)), load_run(trained).detector):
        assert not detector.training
        assert detector.class_names == data.classes
        assert detector.category_ids == data.category_ids
        assert detector.input_size == (64, 96)
        assert detector.selection.most == 7
        assert detector.coder.reg_max == 4
        assert {p.device.type for p in detector.parameters()} == {"cpu"}
        same(detector, whole)
    image = data.records[0].file
    found, again = whole.predict(image), kedge.load(alone).predict(image)
    assert torch.equal(found.boxes, again.boxes)
    assert 0 < len(found) <= 7
    assert {entry["category_id"] for entry in found.to_coco(1)} <= set(data.category_ids)


def test_predict_finds_what_the_run_finds(trained, mini):
    from kedge.predict.detect import detect

    data = read(str(mini), "val")
    run, detector = load_run(trained), kedge.load(trained)
    rows = detect(run.detector, data, (64, 96), batch_size=1, device=torch.device("cpu"))
    found = detector.predict([record.file for record in data.records])
    assert len(rows) == len(found) == 4
    for row, one in zip(rows, found):
        assert torch.equal(row["boxes"], one.boxes)
        assert torch.equal(row["scores"], one.scores)
        assert torch.equal(row["labels"], one.labels)


def test_a_device_may_be_named(trained):
    detector = kedge.load(trained, device="meta")
    assert {p.device.type for p in detector.parameters()} == {"meta"}


def rewrite(file: Path, change) -> None:
    """The same weights with other facts in the header, whole by its checksum."""
    facts = read_facts(file)
    change(facts)
    save_weights(file, load_file(file), facts)


def test_an_older_file_needs_its_run_beside_it(copy, trained):
    file = copy / "model.safetensors"
    rewrite(file, lambda facts: [facts.pop(key) for key in ("model", "category_ids")])
    same(kedge.load(file), kedge.load(trained))
    (copy / "run.json").unlink()
    with pytest.raises(ValueError, match=r"header lacks category_ids, model, .* run.json and"):
        kedge.load(file)
    save_file(load_file(file), file)  # as any other library writes it
    with pytest.raises(ValueError, match="header lacks detector, classes, "):
        kedge.load(file)


def test_what_cannot_be_loaded_is_said(copy, tmp_path):
    file = copy / "model.safetensors"
    good = file.read_bytes()
    with pytest.raises(ValueError, match=r"nowhere: no such run folder or weights file"):
        kedge.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"last.ckpt: truncated, damaged or not safetensors"):
        kedge.load(copy / "last.ckpt")
    with pytest.raises(ValueError, match="holds no run"):
        kedge.load(tmp_path)
    for change, said in (
        (lambda f: f["model"].update(detector="yolov9"), "header: detector: "),
        (lambda f: f["model"].update(nonesuch=1), "header: unknown key 'nonesuch'"),
        (lambda f: f.update(image_size=[100, 100]), "header: image_size: "),
        (lambda f: f.update(levels=[{"stride": 8}]), "header: is not what kedge train writes"),
        (lambda f: f.update(levels="none"), "header: is not what kedge train writes"),
        (lambda f: f.update(model=[]), "header: model is no mapping"),
        (lambda f: f["levels"][0]["shapes"][0].__setitem__(0, 9999), "anchor shape 0 is"),
        (lambda f: f["classes"].append("one too many"), "not the weights of this detector"),
        (lambda f: f["model"].update(options="width=32"), "not the weights of this detector"),
    ):
        file.write_bytes(good)
        rewrite(file, change)
        with pytest.raises(ValueError, match=said) as caught:
            kedge.load(file)
        assert "model.safetensors" in str(caught.value)
    file.write_bytes(good[:-9])
    with pytest.raises(ValueError, match="truncated"):
        kedge.load(file)
    save_file({"a": torch.zeros(1)}, file, metadata={"kedge": "[1]"})
    with pytest.raises(ValueError, match="header is not Kedge's"):
        kedge.load(file)
    save_file({"a": torch.zeros(1)}, file, metadata={"kedge": "{"})
    with pytest.raises(ValueError, match="header cannot be read"):
        kedge.load(file)
