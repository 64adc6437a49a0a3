"""Cached answers are the rule's own, and come from the cache exactly when nothing has changed."""

from functools import partial

import pytest
import torch
from contracts.test_assigners import EVERY, predict
from torch import nn

from kedge import ATSS, MAL, TAL, Boxes, FreeAnchor, Grid, LearnedShapes, Level, MaxIoU, Targets
from kedge.assign import BestInCell, Guaranteed, Uniform, YOLOv3
from kedge.assign.by_name import PUBLISHED, STRATEGIES, strategy
from kedge.batches import Cached
from kedge.commands.assign import GEOMETRIC

SIZE = (96, 128)


def grid(offset: float = 0.5, shapes=((24, 24), (40, 20))) -> Grid:
    levels = [Level(stride=s, shapes=list(shapes), offset=offset) for s in (8, 16)]
    return Grid(image_size=SIZE, levels=levels)


def image(seed: int, count: int) -> dict:
    """Objects down to a pixel, the last a crowd."""
    rng = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=rng) * 80
    side = 1 + 50 * torch.rand(count, 2, generator=rng) ** 3
    crowd = torch.zeros(count, dtype=torch.bool)
    crowd[-1:] = count > 2
    labels = torch.randint(3, (count,), generator=rng)
    return {"boxes": torch.cat([corner, corner + side], 1), "labels": labels, "iscrowd": crowd}


IMAGES = [image(0, 9), image(1, 0), image(2, 1), image(3, 1200), image(4, 9)]


def same(one, other) -> None:
    """Pairs, weights, soft labels and ignored anchors, in whatever order."""

    def table(a):
        rows = torch.stack([a.anchor, a.target], 1).double()
        values = torch.stack([a.weight, a.quality], 1).double()
        table = torch.cat([rows, values], 1)
        return table[torch.argsort(rows[:, 0] * 1e6 + rows[:, 1], stable=True)]

    assert torch.equal(table(one), table(other))
    assert torch.equal(one.ignored.sort().values, other.ignored.sort().values)


@pytest.mark.parametrize("name", GEOMETRIC.split(","))
def test_a_cached_answer_is_the_rules(name, tmp_path):
    rule, cached = strategy(name), Cached(strategy(name), tmp_path)
    for first in (True, False):
        for images in (IMAGES[:3], IMAGES[3:]):
            targets = Targets.from_list(images)
            same(cached(grid(), targets), rule(grid(), targets))
        assert cached.misses == 5
        assert cached.hits == (0 if first else 5)
    mixed = Targets.from_list([IMAGES[4], image(7, 20), IMAGES[1], IMAGES[0]])
    same(cached(grid(), mixed), rule(grid(), mixed))
    assert (cached.misses, cached.hits) == (6, 8)
    again = Cached(strategy(name), tmp_path)  # another process finds the files
    same(again(grid(), mixed), rule(grid(), mixed))
    assert (again.misses, again.hits) == (0, 4)


def changed(key: str, value) -> dict:
    part = {name: column.clone() for name, column in IMAGES[0].items()}
    part[key][0] = value
    return part


@pytest.mark.parametrize(
    ("rule", "anchors", "objects"),
    [
        (MaxIoU(positive=0.6), grid(), IMAGES[0]),
        (ATSS(), grid(), IMAGES[0]),
        (MaxIoU(), grid(offset=0.0), IMAGES[0]),
        (MaxIoU(), grid(shapes=((24, 24), (40, 20.001))), IMAGES[0]),
        (MaxIoU(), grid(shapes=((24, 24),)), IMAGES[0]),
        (MaxIoU(), Grid(image_size=(96, 136), levels=grid().levels), IMAGES[0]),
        (MaxIoU(), grid(), changed("labels", 7)),
        (MaxIoU(), grid(), changed("iscrowd", True)),
        (MaxIoU(), grid(), changed("boxes", IMAGES[0]["boxes"][0] + 1e-5)),
        (MaxIoU(), grid(), IMAGES[0] | {"boxes": IMAGES[0]["boxes"].double()}),
    ],
)
def test_whatever_changes_is_computed(rule, anchors, objects, tmp_path):
    Cached(MaxIoU(), tmp_path)(grid(), Targets.from_list([IMAGES[0]]))
    cached = Cached(rule, tmp_path)
    same(cached(anchors, Targets.from_list([objects])), rule(anchors, Targets.from_list([objects])))
    assert (cached.misses, cached.hits) == (1, 0)


def test_no_two_rules_share_a_key():
    names = [*map(strategy, STRATEGIES), *map(strategy, PUBLISHED)]
    rules = {repr(rule): rule for rule in [*EVERY, *names, MaxIoU(positive=0.6)]}
    both = [*rules.values(), *(Guaranteed(strategy=rule) for rule in rules.values())]
    keys = {Cached(rule)._keys(grid(), Targets.from_list([IMAGES[0]]))[0] for rule in both}
    assert len(keys) == len(both) > 60


def test_a_guarantee_keeps_the_answers_of_its_strategy_apart(tmp_path):
    targets = Targets.from_list([IMAGES[0]])
    for inner in (ATSS(), MaxIoU(), MaxIoU(positive=0.6)):
        rule = Guaranteed(strategy=inner)
        cached = Cached(rule, tmp_path)
        same(cached(grid(), targets), rule(grid(), targets))
        assert (cached.misses, cached.hits) == (1, 0)


class Bare(nn.Module):
    """A rule of a user that says nothing of itself."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, anchors, targets, predictions=None):
        return ATSS(k=self.k)(anchors, targets)


@pytest.mark.parametrize(
    "rule", [Bare(9), Guaranteed(strategy=Bare(9)), partial(Bare.forward, Bare(9))]
)
def test_a_rule_that_does_not_say_its_settings_is_refused(rule):
    with pytest.raises(ValueError, match="does not say its settings"):
        Cached(rule)


def test_a_damaged_file_is_computed_and_written_anew(tmp_path):
    targets = Targets.from_list([IMAGES[0]])
    Cached(ATSS(), tmp_path)(grid(), targets)
    (file,) = tmp_path.rglob("*.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    cached = Cached(ATSS(), tmp_path)
    same(cached(grid(), targets), ATSS()(grid(), targets))
    assert cached.misses == 1
    assert file.read_bytes() == whole
    assert list(tmp_path.rglob("*.part")) == []


def test_memory_is_bounded():
    cached = Cached(ATSS(), limit=0)
    for _ in range(2):
        cached(grid(), Targets.from_list([IMAGES[0]]))
    assert (cached.misses, cached.hits) == (2, 0)
    cached = Cached(ATSS(), limit=20_000)
    for seed in range(200):
        cached(grid(), Targets.from_list([image(seed, 9)]))
    assert 0 < cached._bytes <= 20_000
    cached(grid(), Targets.from_list([image(199, 9)]))
    assert cached.hits == 1  # the latest is kept


def test_a_half_precision_batch():
    half = {**IMAGES[0], "boxes": IMAGES[0]["boxes"].half()}
    targets = Targets.from_list([half])
    cached = Cached(MaxIoU())
    for _ in range(2):
        same(cached(grid(), targets), MaxIoU()(grid(), targets))
    assert cached.hits == 1


def test_what_cannot_be_kept_is_refused():
    targets = Targets.from_list([IMAGES[0]])
    learned = LearnedShapes(grid().levels)(SIZE)
    with pytest.raises(ValueError, match="being learned"):
        Cached(ATSS())(learned, targets)
    boxes = Boxes.from_list([torch.tensor([[0.0, 0, 9, 9]])])
    with pytest.raises(ValueError, match="from image to image"):
        Cached(MaxIoU())(boxes, targets)
    for rule in (TAL(), FreeAnchor(), MAL()):
        with pytest.raises(ValueError, match="predictions"):
            Cached(rule)(grid(), targets)


def test_predictions_are_refused_where_the_rule_takes_them():
    targets, said = Targets.from_list([IMAGES[0]]), predict(grid(), 1)
    for rule in (BestInCell(), YOLOv3(), Uniform(), Guaranteed(strategy=Uniform())):
        with pytest.raises(ValueError, match=r"also chooses by predictions.* without the cache"):
            Cached(rule)(grid(), targets, said)
        same(Cached(rule)(grid(), targets), rule(grid(), targets))
    same(Cached(ATSS())(grid(), targets, said), ATSS()(grid(), targets, said))
