"""What ``import kedge`` shows. Taking a name away breaks somebody: this list says so first."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kedge

PACKAGE = Path(kedge.__file__).parent
NAMES = [
    "ATSS", "AlignedOTA", "Assignment", "AutoAssign", "BestInCell", "BestPredictionInCell",
    "Boxes", "ByGCD", "ByNWD", "BySimD", "CascadeRCNN", "CentreRegion", "DW", "DeltaCoder",
    "DenseLoss", "Detections", "Detector", "DistributionCoder", "Dual", "DynamicSoftLabel", "FCOS",
    "FastRCNN", "FasterRCNN", "FasterRCNNC4", "Found", "Free", "FreeAnchor", "GFL", "GFLTiny",
    "Grid", "Guaranteed", "Hungarian", "LADA", "LTRBCoder", "LearnedShapes", "Level", "MAL",
    "MaxIoU", "NoisyAnchors", "OTA", "OneToFew", "PAA", "POTO", "Predictions", "RCNN", "RFCN",
    "RFLA", "RTMDet", "Ranked", "RefineDet", "RetinaNet", "RootCoder", "SSD", "SSDLite",
    "SSDMatch", "Selection", "SimOTA", "SizeIoU", "SlidingWindowDetector", "SoftCell", "Stage",
    "TAL", "TBLRCoder", "TOOD", "Targets", "Uniform", "VFNet", "YOLOF", "YOLOX", "YOLOv1",
    "YOLOv2", "YOLOv2Coder", "YOLOv3", "YOLOv3Coder", "YOLOv5", "YOLOv5Coder", "YOLOv7",
    "__version__", "kmeans", "load", "preset", "read", "save",
]  # fmt: skip


def test_the_public_names_are_these():
    assert sorted(NAMES) == NAMES
    assert kedge.__all__ == NAMES
    assert dir(kedge) == NAMES  # tab completion


def stub() -> dict[str, str]:
    """The names of __init__.pyi and the module each comes from."""
    found = {}
    for node in ast.parse((PACKAGE / "__init__.pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            for name in node.names:
                assert name.asname == name.name, f"{name.name}: only `as` shows a name"
                found[name.name] = node.module
    return found


def test_type_checkers_see_the_same_names_from_the_same_homes():
    table = {name: home for home, names in kedge._HOMES.items() for name in names}
    assert stub() == table
    assert set(table) == set(NAMES) - {"__version__"}


def test_every_name_is_what_its_home_calls_so():
    for name, home in stub().items():
        shown = getattr(kedge, name)
        assert shown is getattr(sys.modules[home], name)
        assert getattr(kedge, name) is shown


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Anchor'"):
        _ = kedge.Anchor


def test_import_and_completion_need_nothing_heavy():
    """Asked in a fresh interpreter: the standard library alone."""
    code = (
        "import sys; before = set(sys.modules); import kedge; dir(kedge); kedge.__version__;"
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - set(sys.stdlib_module_names) == {"kedge"}


def test_geometry_needs_the_core_alone():
    """A strategy runs where only torch, torchvision and numpy are installed."""
    code = (
        "import sys\n"
        "for name in ('msgspec', 'yaml', 'pydantic', 'plotly', 'lightning', 'safetensors', "
        "             'scipy', 'polars', 'jinja2', 'rich', 'cyclopts', 'timm'):\n"
        "    sys.modules[name] = None\n"
        "import torch, kedge\n"
        "grid = kedge.Grid(image_size=(64, 96), levels=[kedge.Level(stride=16)])\n"
        "one = {'boxes': torch.tensor([[8.0, 8, 60, 40]]), 'labels': torch.tensor([0])}\n"
        "assert len(kedge.ATSS()(grid, kedge.Targets.from_list([one])))\n"
        "kedge.RetinaNet(num_classes=1, width=16).predict(torch.zeros(3, 64, 96), min_score=1)\n"
        "try: kedge.load('a.safetensors')\n"
        "except ModuleNotFoundError as error: print(error.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("pydantic", "safetensors")
