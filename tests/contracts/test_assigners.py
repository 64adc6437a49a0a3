"""The contract of every assigner. One line in EVERY buys all of it for a new strategy."""

from dataclasses import FrozenInstanceError, is_dataclass, replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from kedge import Assignment, Free, Grid, Level, Predictions, Targets
from kedge.assign import (
    ATSS,
    DW,
    FCOS,
    LADA,
    MAL,
    OTA,
    PAA,
    POTO,
    RFLA,
    TAL,
    AlignedOTA,
    AutoAssign,
    BestInCell,
    BestPredictionInCell,
    CentreRegion,
    DynamicSoftLabel,
    FreeAnchor,
    Hungarian,
    MaxIoU,
    NoisyAnchors,
    OneToFew,
    Ranked,
    SimOTA,
    SizeIoU,
    SoftCell,
    SSDMatch,
    Uniform,
    YOLOv3,
    YOLOv5,
    YOLOv7,
)
from kedge.assign.predictions_read import needs_predictions, takes_predictions

EVERY = [
    ATSS(),
    AutoAssign(),
    AutoAssign(num_classes=3, force_k=9),
    BestInCell(),
    BestInCell(siblings="positive", similar=0.5),
    BestInCell(siblings="ignored", similar=0.5),
    BestPredictionInCell(),
    CentreRegion(positive=0.6, ignored=0.8),
    DW(),
    DynamicSoftLabel(),
    DynamicSoftLabel(candidates="own"),
    FCOS(),
    FCOS(centre_radius=1.5),
    FreeAnchor(),
    Hungarian(),
    Hungarian(cost="product"),
    Hungarian(repeat=2, groups=3),
    LADA(),
    MAL(progress=0.4),
    MaxIoU(),
    MaxIoU(low_quality="none"),
    MaxIoU(low_quality="rescuer"),
    NoisyAnchors(),
    OTA(),
    PAA(),
    RFLA(),
    SSDMatch(),
    SSDMatch(first="greedy"),
    SimOTA(),
    SimOTA(candidates="own"),
    SoftCell(),
    TAL(),
    TAL.ultralytics(),
    Uniform(),
    YOLOv3(),
    YOLOv3(siblings="positive", similar=0.5),
    YOLOv5(),
    ATSS(alpha=0.8),
    AlignedOTA(),
    MaxIoU(positive=0.7, negative=0.3, measure="simd"),
    MaxIoU(positive=0.7, negative=0.3, measure="gcd"),
    OneToFew(),
    OneToFew(progress=0.5),
    POTO(),
    Ranked(),
    Ranked(measure="iou"),
    SizeIoU(),
    TAL(keep=1),
    TAL.one_to_one(),
    YOLOv7(),
]
# where several objects want an anchor, the order of the objects decides: the last one gets it
BY_ORDER = [BestInCell(), YOLOv3(), RFLA(), SSDMatch(), MaxIoU(low_quality="rescuer")]
NEED_A_GRID = (
    BestInCell,
    BestPredictionInCell,
    Hungarian,
    SoftCell,
    YOLOv3,
    YOLOv5,
    YOLOv7,
)  # its cells, or the image's size
CLASSES = 3

every = pytest.mark.parametrize("assign", EVERY, ids=repr)


# -- scenes ----------------------------------------------------------------------------------------


def make_grid(image_size=(96, 160), dtype=torch.float32) -> Grid:
    """Two shapes on each of three levels, of an image that is not square."""
    levels = [Level(stride=s, shapes=[(3.0 * s, 3.0 * s), (4.5 * s, 2.2 * s)]) for s in (8, 16, 32)]
    grid = Grid(image_size, levels)
    return grid.with_shapes(grid.shapes.to(dtype))


def predict(grid: Grid, batch: int, seed: int = 0) -> Predictions:
    """A head in the middle of training: anchors' boxes, shaken, and scores without ties."""
    rng = torch.Generator().manual_seed(seed)
    dtype = grid.shapes.dtype
    shake = (torch.rand(batch, len(grid), 4, generator=rng, dtype=torch.float64) - 0.5) * 6
    logits = torch.rand(batch, len(grid), CLASSES, generator=rng, dtype=torch.float64) * 6 - 4
    branch = torch.rand(batch, len(grid), generator=rng, dtype=torch.float64) * 4 - 2
    boxes = grid.boxes().double() + shake
    return Predictions.from_tensors(logits.to(dtype), boxes.to(dtype), branch.to(dtype))


def random_boxes(count: int, seed: int, image_size=(96, 160), side=(6.0, 90.0)) -> Tensor:
    """Objects in general position: no ties."""
    rng = torch.Generator().manual_seed(seed)
    size = side[0] + (side[1] - side[0]) * torch.rand(count, 2, generator=rng) ** 2
    centre = torch.rand(count, 2, generator=rng) * torch.tensor(image_size).flip(0)
    return torch.cat([centre - size / 2, centre + size / 2], 1)


def pack(*images, crowd=(), dtype=torch.float32) -> Targets:
    """Images' boxes as targets, with labels in turn; ``crowd``: rows of the whole batch."""
    batch, row = [], 0
    for boxes in images:
        boxes = torch.as_tensor(boxes, dtype=dtype).reshape(-1, 4)
        index = torch.arange(row, row + len(boxes))
        row += len(boxes)
        is_crowd = torch.isin(index, torch.tensor(list(crowd), dtype=torch.int64))
        batch.append({"boxes": boxes, "labels": index % CLASSES, "iscrowd": is_crowd})
    return Targets.from_list(batch)


def run(assign, targets: Targets, grid: Grid | None = None, seed: int = 0) -> Assignment:
    """Assigns and checks everything that must hold for any outcome."""
    grid = make_grid() if grid is None else grid
    got = assign(grid, targets, predict(grid, targets.batch_size, seed))
    check(got, grid, targets)
    return got


def check(got: Assignment, grid, targets: Targets) -> None:
    batch, count = targets.batch_size, len(grid)
    assert got.shape == (batch, count)
    for flat in (got.anchor, got.ignored):
        assert flat.dtype == torch.int64
        assert bool(((flat >= 0) & (flat < batch * count)).all())
    assert torch.equal(got.image, targets.image[got.target])
    assert not bool(targets.ignore[got.target].any()), "a crowd is positive"
    for value in (got.weight, got.quality):
        assert bool(torch.isfinite(value).all())
        assert not value.requires_grad
    assert bool((got.weight >= 0).all())
    assert bool(((got.quality >= 0) & (got.quality <= 1)).all())
    pairs = list(zip(got.anchor.tolist(), got.target.tolist()))
    assert len(set(pairs)) == len(pairs), "a pair twice"
    assert len(got.ignored.unique()) == len(got.ignored)
    assert not bool(torch.isin(got.ignored, got.anchor).any())
    covered = set(grid.covered(targets).tolist())
    assert covered <= set(got.ignored.tolist()) | set(got.anchor.tolist())
    check_dense(got, set(pairs), targets)


def check_dense(got: Assignment, pairs: set, targets: Targets) -> None:
    dense = got.dense()
    assert dense.shape == got.shape
    flat = dense.flatten()
    assert sorted(set(got.anchor.tolist())) == (flat >= 0).nonzero()[:, 0].tolist()
    assert sorted(got.ignored.tolist()) == (flat == -2).nonzero()[:, 0].tolist()
    first = targets.first.tolist()
    for anchor in set(got.anchor.tolist()):
        assert (anchor, first[anchor // got.num_anchors] + int(flat[anchor])) in pairs
    background = got.background().flatten()
    assert torch.equal(background, flat == -1)


def table(got: Assignment, name=None) -> dict:
    """{(anchor, target or its ``name``): (weight, quality)}."""
    target = got.target.tolist() if name is None else [name[t] for t in got.target.tolist()]
    value = zip(got.weight.tolist(), got.quality.tolist())
    return dict(zip(zip(got.anchor.tolist(), target), value))


def assert_same(a: dict, b: dict, rel: float = 1e-4) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert b[key] == pytest.approx(value, rel=rel, abs=1e-5), key


# -- what every strategy holds ---------------------------------------------------------------------


@every
def test_settings_are_frozen_and_named(assign):
    with pytest.raises(TypeError):
        type(assign)(1)
    if isinstance(assign, torch.nn.Module):
        return  # has parameters
    assert is_dataclass(assign)
    assert replace(assign) == assign
    with pytest.raises(FrozenInstanceError):
        assign.k = 1


@every
@pytest.mark.parametrize("images", [0, 1, 3])
def test_images_without_objects_are_background(assign, images):
    got = run(assign, pack(*([[]] * images)))
    assert len(got) == len(got.ignored) == 0


@every
def test_empty_images_among_others(assign):
    targets = pack([], random_boxes(4, 1), [], random_boxes(1, 2))
    got = run(assign, targets)
    assert set(got.image.tolist()) <= {1, 3}
    assert not bool((got.dense()[[0, 2]] >= 0).any())


@every
def test_one_object_of_an_anchors_size_gets_anchors(assign):
    # 24 x 24 around the centre of a stride-8 cell, with a prediction that fits
    got = run(assign, pack([[40.0, 32, 64, 56]]))
    assert len(got) > 0
    assert set(got.target.tolist()) == {0}


@every
@pytest.mark.parametrize(
    "box",
    [
        [1000.0, 1000, 1040, 1030],  # outside the image
        [-500.0, -400, -470, -380],
        [-300.0, -200, 500, 400],  # larger than the image
        [0.0, 0, 160, 96],  # the whole image
        [52.0, 44, 53, 45],  # a pixel, on a point
        [50.0, 41, 51, 42],  # a pixel, between points
        [50.0, 41, 50, 41],  # no area
        [50.0, 20, 50, 80],  # no width
        [20.0, 41, 90, 41],  # no height
        [0.0, 0, 1e6, 1e6],
        [40.25, 30, 40.5, 95],  # a hair
    ],
    ids=str,
)
def test_awkward_objects(assign, box):
    run(assign, pack([box]))
    run(assign, pack(random_boxes(3, 3), [*random_boxes(2, 4).tolist(), box], [box, box]))


@every
def test_identical_objects(assign):
    box = random_boxes(1, 5)
    got = run(assign, pack(box.repeat(3, 1), torch.cat([box, random_boxes(2, 6), box])))
    assert len(got) > 0


@every
def test_crowds_are_ignored_and_never_positive(assign):
    grid = make_grid()
    crowd = [0.0, 0, 100, 96]
    targets = pack([[100.0, 20, 140, 60], crowd], [crowd], crowd=(1, 2))
    got = run(assign, targets)
    assert len(grid.covered(targets)) > 100
    assert set(got.image.tolist()) <= {0}
    assert bool((got.dense()[1] == -2).sum() > 50)


@every
def test_crowds_change_nothing_elsewhere(assign):
    boxes = random_boxes(4, 7)
    far = torch.tensor([[5000.0, 5000, 5050, 5050]])  # covers nothing
    plain = run(assign, pack(boxes))
    crowded = run(assign, pack(torch.cat([boxes, far]), crowd=(4,)))
    assert_same(table(plain), table(crowded))
    assert plain.ignored.tolist() == crowded.ignored.tolist()


@every
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_objects_does_not_matter(assign, seed):
    boxes = random_boxes(7, 10 + seed)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    first = pack(boxes)
    moved = replace(first, boxes=boxes[order], labels=first.labels[order])
    a, b = run(assign, first, seed=seed), run(assign, moved, seed=seed)
    if assign in BY_ORDER:
        assert set(a.anchor.tolist()) == set(b.anchor.tolist())
    elif assign == BestPredictionInCell():  # a cell's first object says which predictor answers
        assert len(a) == len(b)
    else:
        assert_same(table(a), table(b, name=order.tolist()))
    assert sorted(a.ignored.tolist()) == sorted(b.ignored.tolist())


@every
def test_a_batch_is_its_images_one_by_one(assign):
    grid = make_grid()
    images = [random_boxes(5, 20), random_boxes(0, 0), random_boxes(1, 21), random_boxes(9, 22)]
    targets = pack(*images, crowd=(3, 8))
    whole = predict(grid, 4)
    got = table(assign(grid, targets, whole))
    ignored = set(assign(grid, targets, whole).ignored.tolist())
    again, skipped, row = {}, set(), 0
    for image, boxes in enumerate(images):
        rows = slice(row, row + len(boxes))
        one = Targets(
            boxes=targets.boxes[rows],
            labels=targets.labels[rows],
            image=torch.zeros(len(boxes), dtype=torch.int64),
            ignore=targets.ignore[rows],
            batch_size=1,
        )
        own = Predictions.from_tensors(
            whole.logits[[image]], whole.codes[[image]], whole.objectness[[image]]
        )
        part = assign(grid, one, own)
        for (anchor, target), value in table(part).items():
            again[anchor + image * len(grid), target + row] = value
        skipped |= {a + image * len(grid) for a in part.ignored.tolist()}
        row += len(boxes)
    assert_same(got, again)
    assert ignored == skipped


@every
def test_it_says_whether_it_takes_predictions(assign):
    grid, targets = make_grid(), pack(random_boxes(9, 0), random_boxes(9, 1))
    if needs_predictions(assign, grid):
        assert not takes_predictions(assign)
        return
    alone, told = assign(grid, targets), assign(grid, targets, predict(grid, 2))
    differs = table(alone) != table(told) or not torch.equal(alone.ignored, told.ignored)
    assert differs == takes_predictions(assign)


@every
def test_it_is_deterministic(assign):
    targets = pack(random_boxes(9, 30), random_boxes(5, 31), crowd=(3,))
    a, b = run(assign, targets), run(assign, targets)
    for name in ("anchor", "target", "weight", "quality", "ignored"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


@every
def test_arguments_are_left_as_they_were(assign):
    grid, targets = make_grid(), pack(random_boxes(6, 40), random_boxes(2, 41), crowd=(1,))
    predictions = predict(grid, 2)
    given = {
        "shapes": grid.shapes,
        **{k: getattr(targets, k) for k in ("boxes", "labels", "image", "ignore")},
        **{k: getattr(predictions, k) for k in ("logits", "codes", "objectness")},
    }
    before = {name: value.clone() for name, value in given.items()}
    assign(grid, targets, predictions)
    for name, value in given.items():
        assert torch.equal(value, before[name]), name


@every
def test_nothing_is_differentiated(assign):
    shapes = make_grid().shapes.clone().requires_grad_()
    grid = make_grid().with_shapes(shapes)
    targets = pack(random_boxes(6, 50))
    raw = predict(make_grid(), 1)
    predictions = Predictions.from_tensors(
        raw.logits.clone().requires_grad_(),
        raw.codes.clone().requires_grad_(),
        raw.objectness.clone().requires_grad_(),
    )
    got = assign(grid, targets, predictions)
    assert not got.weight.requires_grad
    assert not got.quality.requires_grad
    assert_same(table(got), table(run(assign, targets)))


@every
def test_double_precision_agrees(assign):
    boxes = [random_boxes(6, 60), random_boxes(3, 61)]
    single = run(assign, pack(*boxes))
    raw, grid = predict(make_grid(), 2), make_grid(dtype=torch.float64)
    predictions = Predictions.from_tensors(
        raw.logits.double(), raw.codes.double(), raw.objectness.double()
    )
    double = assign(grid, pack(*boxes, dtype=torch.float64), predictions)
    check(double, grid, pack(*boxes))
    # IoU that ties in one precision (an object inside of many anchors) need not in the other
    a, b = table(single), table(double)
    both = a.keys() & b.keys()
    assert len(both) >= 0.9 * max(len(a), len(b))
    if a.keys() == b.keys():
        assert_same(a, b, rel=1e-3)


@every
def test_autocast_leaves_geometry_in_single_precision(assign):
    targets = pack(random_boxes(6, 70), random_boxes(3, 71))
    plain = run(assign, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = run(assign, targets)
    assert_same(table(plain), table(cast))


@every
def test_half_precision_predictions_are_accepted(assign):
    grid, targets = make_grid(), pack(random_boxes(6, 72))
    raw = predict(grid, 1)
    half = Predictions.from_tensors(
        raw.logits.bfloat16(), raw.codes.bfloat16(), raw.objectness.bfloat16()
    )
    check(assign(grid, targets, half), grid, targets)


@every
def test_on_a_gpu(assign):
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    grid, targets = make_grid(), pack(random_boxes(9, 80), [], random_boxes(4, 81), crowd=(2,))
    raw = predict(grid, 3)
    moved = Predictions.from_tensors(raw.logits.cuda(), raw.codes.cuda(), raw.objectness.cuda())
    got = assign(grid.to("cuda"), targets.to("cuda"), moved)
    for name in ("anchor", "target", "weight", "quality", "ignored"):
        assert getattr(got, name).is_cuda, name
    want = assign(grid, targets, raw)
    assert_same(table(want), table(got), rel=1e-3)
    assert sorted(want.ignored.tolist()) == sorted(got.ignored.tolist())


@every
def test_points_and_one_level_will_do(assign):
    grid = Grid((64, 96), [Level(stride=8)])
    run(assign, pack(random_boxes(5, 90, (64, 96)), []), grid)


@every
def test_free_anchors_or_a_clear_refusal(assign):
    grid = make_grid()
    free, targets = Free(grid.boxes()), pack(random_boxes(5, 95), [])
    if isinstance(assign, NEED_A_GRID) or getattr(assign, "measure", "iou") != "iou":
        with pytest.raises(ValueError, match=r"Grid|cell|image_size"):
            assign(free, targets, predict(grid, 2))
    else:
        got = assign(free, targets, predict(grid, 2))
        check(got, free, targets)


class Largest(TorchDispatchMode):
    """Notes the largest tensor that is made."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(value, Tensor):
                self.numel = max(self.numel, value.numel())
        return out


@every
def test_thousands_of_objects_without_a_matrix_of_anchors_and_objects(assign):
    size, count = (768, 1280), 2500
    if isinstance(assign, Hungarian):
        count = 500 // (assign.repeat * assign.groups)  # exact matching: more than linear time
    grid = make_grid(size)
    targets = pack(random_boxes(count, 99, size, side=(4.0, 40.0)))
    predictions = predict(grid, 1)
    with Largest() as largest:
        got = assign(grid, targets, predictions)
    check(got, grid, targets)
    assert largest.numel < max(len(grid) * count / 5, 1 << 23)  # blocks have a fixed size
