"""The doctor's setup from configurations that are read without the library they are for."""

import sys

import pytest
import torch
from torch import nn

from kedge import MaxIoU
from kedge.assign import YOLOv5
from kedge.cli import run
from kedge.coders import DeltaCoder, YOLOv5Coder
from kedge.interop import doctor_model
from kedge.interop.detectron2.yaml_file import arithmetic
from kedge.interop.doctor_model import setup_of_model

BASE = """
MODEL:
  META_ARCHITECTURE: "RetinaNet"
  ANCHOR_GENERATOR:
    SIZES: !!python/object/apply:eval ["[[x, x * 2**(1.0/3)] for x in [32, 64, 128, 256, 512 ]]"]
  RETINANET:
    IOU_THRESHOLDS: [0.4, 0.5]
VERSION: 2
"""
SMALL = """
anchors:
  - [10,14, 23,27, 37,58]  # P4/16
  - [81,82, 135,169, 344,319]  # P5/32
backbone:
  [[-1, 1, Conv, [16, 3, 1]],
   [-1, 1, nn.MaxPool2d, [2, 2, 0]],
   [-1, 1, Focus, [32, 3]],
   [-1, 3, C3, [64]],
   [-1, 1, nn.MaxPool2d, [2, 2, 0]],
   [-1, 1, Conv, [128, 3, 2]],
   [-1, 1, nn.MaxPool2d, [2, 2, 0]],
   [-1, 1, nn.ZeroPad2d, [[0, 1, 0, 1]]],
   [-1, 1, nn.MaxPool2d, [2, 1, 0]]]
head:
  [[-1, 1, Conv, [256, 1, 1]],
   [-1, 1, nn.Upsample, [None, 2, 'nearest']],
   [[-1, 5], 1, Concat, [1]],
   [[11, 9], 1, Detect, [nc, anchors]]]
"""


def write(folder, name, text):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return str(folder / name)


# -- Detectron2 ------------------------------------------------------------------------------------


def test_detectron2s_retinanet_with_its_base(tmp_path):
    write(tmp_path, "Base-RetinaNet.yaml", BASE)
    text = '_BASE_: "../Base-RetinaNet.yaml"\nMODEL:\n  RETINANET:\n'
    text += "    BBOX_REG_WEIGHTS: (2, 2, 4, 4)\n"
    found = setup_of_model(write(tmp_path, "COCO/small.yaml", text), (96, 150))
    assert found.title == "Detectron2's RetinaNet (small.yaml)"
    assert found.assign == MaxIoU(positive=0.5, negative=0.4)
    assert found.coder == DeltaCoder(stds=(0.5, 0.5, 0.25, 0.25))
    assert (found.focal, found.most, found.image_size) == (True, 100, (96, 150))
    assert found.strides == (8, 16, 32, 64, 128)
    assert found.grid.sizes == ((12, 20), (6, 10), (3, 5), (2, 3), (1, 2))  # padded to 96 x 160
    shapes = found.grid.shapes[:6]  # w x h: size by size, then ratio by ratio
    large = 32 * 2 ** (1 / 3)
    wanted = [(s / r**0.5, s * r**0.5) for s in (32, large) for r in (0.5, 1, 2)]
    torch.testing.assert_close(shapes, torch.tensor(wanted))
    assert found.grid.boxes(torch.tensor([1])).tolist() == [[-16, -16, 16, 16]]  # offset 0
    assert found.flags.startswith("--model ")


def test_detectron2s_defaults_are_a_proposal_network_on_res4(tmp_path):
    found = setup_of_model(write(tmp_path, "c4.yaml", "MODEL:\n  WEIGHTS: ''\n"), (100, 150))
    assert found.assign == MaxIoU(positive=0.7, negative=0.3)
    assert found.coder == DeltaCoder()
    assert not found.focal
    assert found.strides == (16,)
    assert found.grid.sizes == ((7, 10),)
    assert found.grid.num_shapes == 15


def test_detectron2s_other_settings(tmp_path):
    text = """
MODEL:
  META_ARCHITECTURE: ProposalNetwork
  RESNETS: {RES5_DILATION: 2}
  ANCHOR_GENERATOR: {SIZES: [16, 40], ASPECT_RATIOS: [[1.0]], OFFSET: 0.5}
  RPN:
    IN_FEATURES: [res5]
    IOU_THRESHOLDS: [0.2, 0.6]
    IOU_LABELS: (0, -1, 1)
"""
    found = setup_of_model(write(tmp_path, "own.yaml", text), (64, 96))
    assert found.strides == (16,)
    assert found.grid.shapes.tolist() == [[16, 16], [40, 40]]
    assert found.grid.points(torch.tensor([0])).tolist() == [[8, 8]]
    assert found.assign == MaxIoU(positive=0.6, negative=0.2)
    assert found.most is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("MODEL: {META_ARCHITECTURE: FCOS}", "META_ARCHITECTURE FCOS: known are RetinaNet"),
        ("MODEL: {ANCHOR_GENERATOR: {NAME: RotatedAnchorGenerator}}", "known are DefaultAnchor"),
        ("MODEL: {PROPOSAL_GENERATOR: {NAME: RRPN}}", "NAME RRPN: known are RPN"),
        ("MODEL: {RPN: {IN_FEATURES: [conv4]}}", "IN_FEATURES conv4: its stride is not known"),
        ("MODEL: {RPN: {IOU_LABELS: [1, 0, -1]}}", "the matcher labels"),
        ("MODEL: {ANCHOR_GENERATOR: {SIZES: [[1], [2]]}}", "SIZES: 2 lists for 1 maps"),
        ("MODEL: {ANCHOR_GENERATOR: {SIZES: all}}", "not numbers: all"),
        ("MODEL: [1]", "not settings of Detectron2"),
        ("_BASE_: detectron2://model.yaml", "is no path from its folder"),
        ("_BASE_: /etc/model.yaml", "is no path from its folder"),
        ("_BASE_: bad.yaml", "is based on itself"),
        ("_BASE_: absent.yaml", "No such file"),
        ("MODEL: !!python/object/apply:os.system ['ls']", "could not determine a constructor"),
        ("MODEL: !!python/object/apply:eval ['print(1)']", "not numbers: print"),
    ],
)
def test_what_is_not_understood_of_detectron2_is_named(text, what, tmp_path):
    with pytest.raises(ValueError, match=what) as error:
        setup_of_model(write(tmp_path, "bad.yaml", text), (64, 96))
    assert "bad.yaml" in str(error.value) or "absent.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_arithmetic_is_all_that_is_evaluated():
    assert arithmetic("(1, -2.5, [2 ** 3 / 4 - 1 + 1])") == [1, -2.5, [2]]
    assert arithmetic("[[x, 2 * x] for x in [1, 2]]") == [[1, 2], [2, 4]]
    for text in (
        "x",
        "abs(1)",
        "9 ** 9 ** 9",
        "1 / 0",
        "'a'",
        "[1] * 3",
        "().__class__",
        "[",
        "a.b",
    ):
        with pytest.raises(ValueError, match="not numbers"):
            arithmetic(text)


# -- YOLO ------------------------------------------------------------------------------------------


def test_anchors_of_a_yolo_yaml(tmp_path):
    found = setup_of_model(write(tmp_path, "tiny.yaml", SMALL), (96, 160))
    assert found.title == "the anchors of tiny.yaml"
    assert (found.assign, found.coder, found.most) == (YOLOv5(), YOLOv5Coder(), 300)
    assert found.strides == (16, 32)
    assert found.grid.sizes == ((6, 10), (3, 5))
    assert found.grid.shapes[[0, 5]].tolist() == [[10, 14], [344, 319]]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("Focus", "Foo", "layer 2: Foo is not known"),
        ("[-1, 5]", "[-1, 1]", r"layer 11 \(Concat\) joins maps of strides"),
        ("Detect", "Conv", "joins maps"),
        ("81,82", "81", "shorter"),
        ("[[11, 9], 1, Detect", "[[9], 1, Detect", "longer"),
    ],
)
def test_what_is_not_understood_of_a_yolo_yaml_is_named(old, new, what, tmp_path):
    with pytest.raises(ValueError, match=what) as error:
        setup_of_model(write(tmp_path, "bad.yaml", SMALL.replace(old, new)), (96, 160))
    assert str(error.value).startswith("bad.yaml: not the layers and anchors of a YOLO")


def test_anchors_that_training_is_to_find_are_refused(tmp_path):
    with pytest.raises(ValueError, match="anchors: 3 states no shapes"):
        setup_of_model(write(tmp_path, "hub.yaml", "anchors: 3\nbackbone: []\nhead: []"), (96, 160))


# -- which reader ----------------------------------------------------------------------------------


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="neither backbone and head, as Ultralytics, nor MODEL"):
        setup_of_model(write(tmp_path, "data.yaml", "names: [a]"), (96, 160))
    with pytest.raises(ValueError, match="while parsing a flow sequence"):
        setup_of_model(write(tmp_path, "broken.yaml", "a: [1\nb: 2\n"), (96, 160))
    with pytest.raises(ValueError, match="expected module:function, a configuration"):
        setup_of_model("model.json", (96, 160))


def test_aliases_that_multiply_are_refused(tmp_path):
    """A configuration is read with the limits of every other YAML."""
    lines = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    file = tmp_path / "model.yaml"
    file.write_text("\n".join(["MODEL: {}", *lines]))
    with pytest.raises(ValueError, match="multiply without end"):
        setup_of_model(str(file), (64, 64))


def test_a_library_that_is_missing_is_named(monkeypatch):
    def missing(name):
        raise ImportError("No module named 'mmdet'")

    monkeypatch.setattr(doctor_model, "import_module", missing)
    with pytest.raises(ValueError, match="its library is missing: No module named"):
        setup_of_model("retinanet.py", (96, 160))
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(ValueError, match="Ultralytics, which makes its model, is missing"):
        setup_of_model("yolo11n.yaml", (96, 160))


def test_pickles_and_lazy_configs_are_refused_with_what_to_do(tmp_path, capsys):
    for name, word in (("best.pt", "is a pickle"), ("config.py", "is a LazyConfig of Detectron2")):
        path = tmp_path / name
        path.write_text("from detectron2.config import LazyCall")
        assert run(["doctor", "toy", "--model", str(path)]) == 2
        said = capsys.readouterr().err
        assert word in said
        assert "module:function" in said


def test_a_missing_library_is_no_extra_of_ours(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "kedge.interop.mmdetection.setup", None)
    weights = "open-mmlab://detectron2/resnet50_caffe"  # a LazyConfig it is not
    (tmp_path / "retinanet.py").write_text(f"model = dict(type='RetinaNet', init='{weights}')")
    assert run(["doctor", "toy", "--model", str(tmp_path / "retinanet.py")]) == 2
    said = capsys.readouterr().err
    assert "its library is missing" in said
    assert "pip install" not in said


def test_a_model_is_read_by_the_adapter_of_its_library(tmp_path, monkeypatch):
    class Net(nn.Module):
        pass

    Net.__module__ = "detectron2.modeling"
    module = type(sys)("my_net")
    module.make = lambda: nn.Sequential(Net())
    monkeypatch.setitem(sys.modules, "my_net", module)
    with pytest.raises(ValueError, match="Sequential holds no RetinaNet and no RPN of Detectron2"):
        setup_of_model("my_net:make", (96, 160))
