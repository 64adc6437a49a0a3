"""The benchmarks' dense forms are the strategies that they are timed against: equal labels."""

import shutil
import sys
from dataclasses import replace

import pytest
import torch
from conftest import REPOSITORY

from kedge import Grid, Predictions, Targets
from kedge.boxes import iof

sys.path.append(str(REPOSITORY / "benchmarks"))
import assign_cases
import dense_bags
from dense_scene import Scene

SIZE = (104, 168)
pytestmark = pytest.mark.filterwarnings("ignore:index_reduce")


def objects(count: int, rng: torch.Generator) -> torch.Tensor:
    """(count, 4) boxes from one pixel to most of the image, some over its edge."""
    side = 1 + 110 * torch.rand(count, 2, generator=rng).double() ** 2
    side[: count // 4] = 1.0
    centre = torch.rand(count, 2, generator=rng).double() * torch.tensor([SIZE[1], SIZE[0]])
    return torch.cat([centre - side / 2, centre + side / 2], 1)


def batch(seed: int) -> Targets:
    """Seven objects, none, one, a crowd alone, and twelve beside a crowd."""
    rng = torch.Generator().manual_seed(seed)
    images = []
    for count, crowds in ((7, 0), (0, 0), (1, 0), (0, 1), (12, 1)):
        crowd = torch.tensor([[10.0, 5, 130, 95]]).double()[:crowds]
        boxes = torch.cat([objects(count, rng), crowd])
        crowd = torch.arange(len(boxes)) >= count
        labels = torch.randint(4, (len(boxes),), generator=rng)
        images.append({"boxes": boxes, "labels": labels, "iscrowd": crowd})
    return Targets.from_list(images)


def predictions(grid, targets: Targets, seed: int) -> Predictions:
    rng = torch.Generator().manual_seed(seed)
    boxes = [
        assign_cases.predicted_boxes(grid, targets.boxes[targets.image == i], rng)
        for i in range(targets.batch_size)
    ]
    logits = 2 * torch.randn(len(boxes), len(grid), 4, generator=rng).double()
    return Predictions.from_tensors(logits, torch.stack(boxes).double())


def scenes(grid, targets, given):
    """(image, crowds, scene or None without objects)."""
    for image in range(targets.batch_size):
        mine = targets.image == image
        real = mine & ~targets.ignore
        scene = Scene(
            grid=grid,
            anchors=grid.boxes(),
            boxes=targets.boxes[real],
            labels=targets.labels[real],
            logits=None if given is None else given.logits[image],
            predicted=None if given is None else given.codes[image],
        )
        yield image, targets.boxes[mine & targets.ignore], scene if real.any() else None


def dense_labels(form, grid, targets, given) -> torch.Tensor:
    """(B, N) of the dense form; what a crowd covers is not background."""
    out = torch.full((targets.batch_size, len(grid)), -1)
    for image, crowds, scene in scenes(grid, targets, given):
        if scene is not None:
            out[image] = form(scene)
        covered = (iof(grid.boxes()[:, None], crowds) >= 0.5).any(1)
        out[image, covered & (out[image] == -1)] = -2
    return out


def grid_of(name: str) -> Grid:
    """The case's grid in double precision; for Uniform's L1 distances with cells that are not
    square: steps along x and y would tie.
    """
    grid = assign_cases.CASES[name].grid(SIZE)
    if name.startswith("Uniform"):
        grid = Grid(SIZE, [replace(level, stride=(27.0, 32.0)) for level in grid.levels])
    return grid.with_shapes(grid.shapes.double())


def lowest_first(value: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Kedge's order of equal values; an object within several anchors has equal IoU with them."""
    found = value.sort(dim=1, descending=True, stable=True)
    return found.values[:, :k], found.indices[:, :k]


@pytest.mark.parametrize("name", assign_cases.CASES)
@pytest.mark.parametrize("seed", range(3))
def test_labels_equal_the_strategys(name, seed, monkeypatch):
    monkeypatch.setattr(dense_bags, "top", lowest_first)
    case, grid, targets = assign_cases.CASES[name], grid_of(name), batch(seed)
    given = predictions(grid, targets, seed) if case.predictions else None
    found = case.strategy()(grid, targets, given)
    expected = dense_labels(case.dense, grid, targets, given)
    assert torch.equal(found.dense(), expected)
    assert (expected[0] >= 0).any()
    assert (expected[[1, 3]] < 0).all()
    assert (expected[4] == -2).any()


@pytest.mark.parametrize("name", ["FreeAnchor", "MAL", "AutoAssign", "DW"])
def test_weights_equal_the_strategys(name, monkeypatch):
    monkeypatch.setattr(dense_bags, "top", lowest_first)
    case, grid, targets = assign_cases.CASES[name], grid_of(name), batch(0)
    given = predictions(grid, targets, 0)
    found = case.strategy()(grid, targets, given)
    background = torch.ones(targets.batch_size * len(grid), given.num_classes).double()
    background[found.background_weight.anchor, found.background_weight.label] = (
        found.background_weight.weight
    )
    for image, _, scene in scenes(grid, targets, given):
        if scene is None:
            continue
        (form,) = case.dense.args
        expected = form(scene)
        weight = torch.full_like(expected.weight, -torch.inf)
        mine = found.image == image
        target = found.target[mine] - targets.first[image]
        weight[target, found.anchor[mine] % len(grid)] = found.weight[mine].double()
        torch.testing.assert_close(weight, expected.weight)
        rows = background[image * len(grid) : (image + 1) * len(grid)]
        torch.testing.assert_close(rows.T, expected.background)


def test_noisy_anchors_labels_and_weights_equal_the_strategys(monkeypatch):
    monkeypatch.setattr(dense_bags, "top", lowest_first)
    case, grid, targets = assign_cases.CASES["NoisyAnchors"], grid_of("NoisyAnchors"), batch(1)
    given = predictions(grid, targets, 1)
    found = case.strategy()(grid, targets, given)
    for image, _, scene in scenes(grid, targets, given):
        if scene is None:
            continue
        expected, mine = dense_bags.noisy_anchors(scene), found.image == image
        at = found.anchor[mine] % len(grid)
        torch.testing.assert_close(found.weight[mine], expected.weight[at])
        torch.testing.assert_close(found.quality[mine], expected.quality[at])


@pytest.mark.skipif(shutil.which("g++") is None, reason="the kernel needs a compiler: g++")
def test_the_native_kernel_labels_as_max_iou_does(tmp_path):
    """A scene of each kind, with objects of one pixel, over the edge, alike, and in none."""
    from native import Kernel

    from kedge.assign import MaxIoU

    grid = assign_cases.retinanet(SIZE)
    kernel, rng = Kernel(grid, tmp_path), torch.Generator().manual_seed(0)
    images = [objects(count, rng).float() for count in (0, 1, 3, 12, 60, 400)]
    images.append(images[3].repeat(2, 1))  # every object twice: the lowest is named
    found = MaxIoU()(grid, Targets.from_list([{"boxes": boxes} for boxes in images]))
    assert torch.equal(kernel(images), found.dense())


def test_the_page_shows_what_edge_measures_and_others_only_with_their_source():
    import edge as bench
    from page_edge import edge

    cost = {
        "parameters": 156916,
        "MB": 0.7,
        "MB int8": 0.29,
        "ms eager": 9,
        "ms onnx": 4,
        "ms int8": 3,
    }
    found = {"bccd AP": 0.5, "bccd AP int8": 0.49, "hit_uav AP": None, "hit_uav AP int8": None}
    result = {
        "rows": [{"row": "gfl_tiny micro", **cost, **found}],
        "peers": bench.PEERS,
        "side": 320,
    }
    page = " ".join(edge({"edge": result}.get, lambda said: "facts").split())
    assert (
        "| gfl_tiny micro | 156,916 | 0.70 | 0.29 | 9.0 | 4.0 | 3.0 | 50.0 | 49.0 | - | - |" in page
    )
    assert edge({}.get, str) == ""
    assert all(peer["source"].endswith(("[A]", "[C]")) for peer in bench.PEERS)
    recipes = {path.stem for path in (REPOSITORY / "recipes").glob("*.yaml")}
    rows = bench.ROWS["gfl_tiny"], bench.ROWS["gfl_tiny micro"]
    assert {name for row in rows for name in row.recipes.values()} <= recipes


def test_the_page_says_of_learned_shapes_what_the_rows_say():
    """Three detectors, of three seeds: one that gains, one that loses, one that does neither."""
    from page_learned import learned_detectors

    rows = []
    low, high, middle = "10.00, 11.00, 12.00", "20.00, 22.00, 21.00", "50.00, 51.00, 52.00"
    for name, seeds_of in (
        ("up", {"fixed": low, "learned": high}),
        ("down", {"fixed": middle, "learned": high, "placed": middle}),
        ("same", {"fixed": middle, "learned": "51.00, 50.00, 52.00"}),
    ):
        for anchors, seeds in seeds_of.items():
            row = {"detector": name, "anchors": anchors, "AP50 of each seed": seeds}
            row |= {"AP50": 1.0, "AP50 std": 0.5, "AP": 1.0, "AP std": 0.5, "fit final": 0.5}
            rows.append(row | {"answers on each map": "7, 3"})
    text = learned_detectors(lambda name: {"rows": rows}, lambda result: "facts")
    learned = "rises in up (+10.0); is not told apart in same (+0.0); falls in down (-30.0)."
    placed = "is not told apart in down (+0.0)."
    assert f"*learned*: AP50 {learned}\n\n*placed*: AP50 {placed}\n" in text
    assert "| `up`     | learned | 1.0 ± 0.5 | +10.0 [+9.0, +11.0]" in text
    assert learned_detectors(lambda name: None, lambda result: "") == ""
