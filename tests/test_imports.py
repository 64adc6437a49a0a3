"""The import direction of the rooms, and that the core needs torch, torchvision and numpy only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kedge"

# what every room may import from kedge, besides itself
ALLOWED = {
    "outcome": set(),
    "types": {"outcome"},
    "boxes": set(),
    "parse": set(),
    "anchors": {"boxes", "parse", "types"},
    "coders": {"anchors", "boxes", "types"},
    "nms": {"boxes", "types"},
    "fusion": {"boxes", "nms", "types"},
    "scores": {"boxes", "types"},
    "assign": {"anchors", "scores", "boxes", "types"},
    "sample": {"anchors", "boxes", "types"},
    "losses": {"anchors", "scores", "boxes", "types"},
    "nn": {"anchors", "boxes", "types"},
    "detectors": {
        "nn", "coders", "assign", "sample", "losses", "nms", "fusion", "anchors", "boxes", "types",
    },
    "data": {"boxes", "parse", "types"},
    "evaluate": {"boxes", "types"},
}  # fmt: skip
CORE = ["types", "boxes", "anchors", "coders", "assign", "sample", "losses", "nn", "detectors"]
LIGHT = {"torch", "torchvision", "numpy", "kedge"}


def files(room: str) -> list[Path]:
    folder = PACKAGE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imported(path: Path, nested: bool = True) -> set[str]:
    """Modules that a file imports; without ``nested`` only at import time."""
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if _is_type_checking(child):
                continue
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and not nested:
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative import"
                found.add(child.module or "")
            walk(child)

    walk(ast.parse(path.read_text()))
    return found


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_point_down_only(room):
    allowed = ALLOWED[room] | {room}
    for path in files(room):
        rooms = {m.split(".")[1] for m in imported(path) if m.startswith("kedge.")}
        assert rooms <= allowed, f"{path.name} imports {sorted(rooms - allowed)}"


def test_every_room_has_a_place_in_the_order():
    above = {"train", "doctor", "report", "interop", "commands", "cli", "predict", "demo"}
    above |= {"demo_report", "side_by_side"}
    rooms = {p.stem for p in PACKAGE.iterdir() if not p.name.startswith("__")}
    assert rooms <= set(ALLOWED) | above, f"unknown: {sorted(rooms - set(ALLOWED) - above)}"


@pytest.mark.parametrize("room", CORE)
def test_the_core_imports_torch_torchvision_and_numpy_only(room):
    standard = set(sys.stdlib_module_names)
    for path in files(room):
        heavy = {m.split(".")[0] for m in imported(path, nested=False)} - standard - LIGHT
        assert not heavy, f"{path} imports {sorted(heavy)} at import time"


def test_sibling_strategies_do_not_import_each_other():
    """A strategy may use helpers of its room (they define no strategy), never another strategy."""
    strategies = set()
    for path in files("assign"):
        classes = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.ClassDef)]
        if any(f.name == "__call__" for c in classes for f in c.body if hasattr(f, "name")):
            strategies.add(f"kedge.assign.{path.stem}")
    assert {"kedge.assign.max_iou", "kedge.assign.soft_cell"} <= strategies
    for path in files("assign"):
        if path.stem not in ("__init__", "by_name"):  # the lists of all strategies
            assert not imported(path) & (strategies - {f"kedge.assign.{path.stem}"}), path


def test_import_kedge_loads_nothing_heavy():
    code = (
        "import sys; import torch, torchvision; before = set(sys.modules); "
        "import kedge, kedge.detectors, kedge.assign, kedge.coders, kedge.losses, kedge.sample;"
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(out.stdout)) - set(sys.stdlib_module_names) - LIGHT
    heavy = {"lightning", "timm", "plotly", "polars", "scipy", "pydantic", "hotcoco", "PIL"}
    assert not loaded & heavy, sorted(loaded & heavy)


def test_every_public_name_is_found_and_others_are_not():
    import kedge

    assert {name: hasattr(kedge, name) for name in kedge.__all__} == dict.fromkeys(
        kedge.__all__, True
    )
    with pytest.raises(AttributeError, match="no attribute 'Anchor'"):
        _ = kedge.Anchor  # pyright: ignore[reportAttributeAccessIssue]
