"""An exported file, from the command line to the command line: a small detector in ONNX."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import onnx
import PIL.Image
import pytest
import torch
from contracts.test_export import IMAGES, SIZE, agree, sharp

from kedge.cli import run
from kedge.export import export, open_exported
from kedge.export.facts import KEY, Facts, facts_from
from kedge.export.fixed_selection import in_float32
from kedge.export.int8 import behind_convolutions, quantised
from kedge.export.opened import Exported
from kedge.export.to_onnx import save_onnx
from kedge.select import NMS, Selection


@pytest.fixture(scope="module")
def model():
    made = sharp("yolov1")
    made.class_names, made.category_ids = ("a", "b", "c"), (3, 5, 9)
    return made


@pytest.fixture(scope="module")
def file(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "a.onnx"
    export(model, path)
    return path


def test_it_finds_what_the_detector_finds_in_batches_of_any_size(model, file):
    found = open_exported(file)
    agree(found.padded(IMAGES), model)
    alone = found(IMAGES[1:2])[0]
    together = found(IMAGES)[1]
    assert all(torch.equal(alone[key], together[key]) for key in alone)


def test_it_says_how_it_is_used(model, file):
    stated = {p.key: p.value for p in onnx.load(file).metadata_props}
    facts = json.loads(stated[KEY])
    assert facts["classes"] == ["a", "b", "c"]
    assert facts["input_size"] == list(SIZE)
    assert facts["letterbox"]["fill"] == 114
    assert facts["form"] == "nms"
    opened = open_exported(file)
    assert opened.class_names == model.class_names
    assert opened.category_ids == model.category_ids
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_the_detector_is_left_in_the_mode_that_it_was_in(model, file):
    del file
    assert not model.training
    model.train()
    with pytest.raises(ValueError, match="ends in"):
        export(model, Path("a.pt"), to="onnx")
    assert model.training
    model.eval()


def test_int8_keeps_what_decodes_in_float(model, file, tmp_path):
    whole, facts = onnx.load(file), open_exported(file).facts
    small = quantised(whole, (image[None].numpy() for image in IMAGES))
    save_onnx(small, facts.in_int8(), tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").stat().st_size < file.stat().st_size / 2.5
    kinds = {node.op_type for node in small.graph.node if node.name in behind_convolutions(small)}
    assert {"NonMaxSuppression", "TopK"} <= kinds
    found = open_exported(tmp_path / "small.onnx")
    assert found.facts.precision == "int8"
    for one, row in zip(found(IMAGES), model(IMAGES)):
        best = row["boxes"][0]
        assert float((one["boxes"] - best).abs().amax(-1).min()) < 4  # pixels of 96


def test_predict_and_evaluate_run_it(file, tmp_path, capsys):
    image = tmp_path / "image.png"
    pixels = (IMAGES[0] * 255).byte().permute(1, 2, 0).numpy()
    PIL.Image.fromarray(pixels).save(image)
    results = tmp_path / "found.json"
    assert run(["predict", str(file), str(image), "--json", str(results)]) == 0
    assert {row["category_id"] for row in json.loads(results.read_text())} <= {3, 5, 9}
    assert run(["evaluate", str(file)]) == 2
    assert "an exported file needs --data" in capsys.readouterr().err
    assert run(["evaluate", str(file), "--data", "toy"]) == 2
    assert "the detector knows ['a', 'b', 'c']" in capsys.readouterr().err


# -- files that are not right ----------------------------------------------------------------------


class Told:
    """A runtime that says ``facts`` and gives ``columns``."""

    def __init__(self, facts, *columns):
        self.facts, self.columns = facts, columns

    def __call__(self, images):
        return self.columns


FACTS = Facts(
    detector="X", form="decoded", precision="float32", classes=("a", "b"), category_ids=(1, 2),
    input_size=(40, 60), outputs=("boxes", "scores"), levels=(2, 1),
    selection={
        "score": 0.1, "top": "level", "candidates": 5, "apart": "class", "min_side": 0.0, "most": 9,
        "suppress": "nms", "threshold": 0.5,
    },
)  # fmt: skip


def test_decoded_boxes_are_selected_as_the_file_says():
    boxes = torch.tensor([[[0, 0, 20, 20], [1, 1, 21, 20], [30, 0, 99, 50]]]).float()
    scores = torch.tensor([[[0.9, 0.2], [0.8, 0.05], [0.3, 0.4]]])
    (row,) = Exported(Told(FACTS, boxes, scores), Path("a.onnx"))(torch.zeros(1, 3, 40, 60))
    assert row["labels"].tolist() == [0, 1, 0, 1]
    assert row["scores"].tolist() == pytest.approx([0.9, 0.4, 0.3, 0.2])
    assert row["boxes"][1].tolist() == [30, 0, 60, 40]  # cut off at the image


@pytest.mark.parametrize("threshold", [0.3, 0.45, 0.5, 0.6, 0.7])
def test_a_threshold_means_the_same_in_float32(threshold):
    ours = torch.tensor(in_float32(threshold))
    assert float(ours) <= threshold < float(torch.nextafter(ours, torch.ones(())))


def test_facts_come_back_as_they_went():
    assert facts_from(FACTS.as_text(), "a.onnx") == FACTS
    assert FACTS.rule() == Selection(score=0.1, candidates=5, most=9, suppress=NMS(0.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "a.onnx: does not say how to use it"),
        ("[]", "a.onnx: its metadata are not what kedge export writes"),
        ("{", "a.onnx: its metadata are not what"),
        (FACTS.as_text().replace('"format": 1', '"format": 2'), "written by a newer Kedge"),
    ],
)
def test_facts_that_are_not_ours_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        facts_from(text, "a.onnx")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (replace(FACTS, form="maps"), "holds raw maps, which are no detections"),
        (replace(FACTS, selection=FACTS.selection | {"suppress": "SoftNMS"}), "by SoftNMS, which"),
    ],
)
def test_a_file_without_detections_is_refused_by_name(facts, message):
    with pytest.raises(ValueError, match=rf"^b.onnx: .*{message}"):
        Exported(Told(facts), Path("b.onnx"))


def test_images_of_another_size_are_named():
    with pytest.raises(ValueError, match=r"takes images of 3 x 40 x 60, got \(3, 40, 40\)"):
        Exported(Told(FACTS), Path("b.onnx"))(torch.zeros(1, 3, 40, 40))


@pytest.mark.parametrize("name", ["a.onnx", "a.pt2", "a.xml"])
def test_damaged_and_missing_files_are_named(name, tmp_path, capsys):
    path = tmp_path / name
    assert run(["predict", str(path), "photo.jpg"]) == 2
    assert f"{name}: no such file" in capsys.readouterr().err
    path.write_bytes(b"nothing of the kind")
    path.with_suffix(".bin").write_bytes(b"")
    assert run(["predict", str(path), "photo.jpg"]) == 2
    assert name in capsys.readouterr().err


@pytest.mark.parametrize(
    ("entry", "content"),
    [
        ("a/data/sample_inputs/model.pt", b"pickled"),
        ("a/data/weights/model_weights_config.json", b'{"config": {"w": {"use_pickle": true}}}'),
        ("a/data/constants/custom_obj_0", b"pickled"),
    ],
)
def test_an_archive_with_a_pickle_is_not_opened(entry, content, tmp_path):
    path = tmp_path / "a.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, content)
    with pytest.raises(ValueError, match="holds pickled data"):
        open_exported(path)


def test_load_says_what_opens_an_exported_file(file):
    import kedge

    with pytest.raises(ValueError, match="open_exported opens it"):
        kedge.load(file)


def test_votes_and_soft_suppression_have_no_fixed_form(tmp_path):
    from kedge.select import SoftNMS

    model = sharp("yolov1")
    model.selection = Selection(suppress=SoftNMS())
    with pytest.raises(ValueError, match="SoftNMS has no fixed form"):
        export(model, tmp_path / "a.onnx")


def test_a_detector_without_an_input_size_asks_for_one(tmp_path):
    model = sharp("yolov1")
    model.input_size = None
    with pytest.raises(ValueError, match="image_size: this detector resizes images itself"):
        export(model, tmp_path / "a.onnx")
