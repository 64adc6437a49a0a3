"""The import direction of the rooms, and that the core needs torch, torchvision and numpy only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kedge"

# from the ground up: a room imports rooms above it in this list only, never below
ORDER = [
    "lazy", "counted", "files", "shards", "shape_text", "parts", "parse", "swappable",
    "rows", "scores", "ranks", "boxes", "types", "anchors",
    "coders", "sample", "losses", "assign", "nn", "select", "data", "batches", "report",
    "proposals", "detectors", "export", "design", "evaluate", "predict", "train", "doctor",
    "interop", "pages", "live", "demo", "commands", "cli",
]  # fmt: skip
CORE = [*ORDER[: ORDER.index("select") + 1], "detectors"]
LIGHT = {"torch", "torchvision", "numpy", "kedge"}


def files(room: str) -> list[Path]:
    folder = PACKAGE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]


def imported(path: Path, nested: bool = True) -> set[str]:
    """Modules that a file imports; without ``nested`` only at import time."""
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
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


def modules() -> dict[str, Path]:
    """Every module of the package and its file."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def edges() -> dict[str, set[str]]:
    """Which module imports which: at the top, in functions and under TYPE_CHECKING alike."""
    known = modules()
    found: dict[str, set[str]] = {name: set() for name in known}
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names} & known.keys()
            elif isinstance(node, ast.ImportFrom) and node.module in known:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found[name] |= (inner & known.keys()) or {node.module}
    return {name: targets - {name} for name, targets in found.items()}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A circle of modules, or nothing."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for target in sorted(graph[name]):
            if found := walk(target, [*path, name]):
                return found
        done.add(name)
        return []

    for name in sorted(graph):
        if found := walk(name, []):
            return found
    return []


def test_no_two_files_import_each_other_in_a_circle():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle(edges()) == []


def test_imports_point_down_only():
    place = {room: i for i, room in enumerate(ORDER)}
    for name, targets in edges().items():
        room = name.split(".")[1] if "." in name else ""
        for target in targets:
            other = target.split(".")[1] if "." in target else ""
            if room and other and room != "__main__" and room != other:
                assert place[other] < place[room], f"{name} imports {target}"


def test_every_room_has_a_place_in_the_order():
    kept = (p for p in PACKAGE.iterdir() if p.is_dir() or p.suffix == ".py")
    rooms = {p.stem for p in kept if not p.name.startswith("__")}
    assert rooms == set(ORDER)


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


def test_a_look_at_data_loads_no_detector():
    code = (
        "import sys; from kedge.cli import run; assert run(['doctor', 'toy']) == 0;"
        "assert 'torchvision' not in sys.modules and 'lightning' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
