"""Which objects a predicted box overlaps: by a table of all, by one of the rows asked for, and by
the search, against a table made here."""

from contextlib import nullcontext

import pytest
import torch

from kedge import Boxes, Grid, Level, Predictions, Targets
from kedge.anchors.queries import predicted
from kedge.anchors.queries.table import tables
from kedge.boxes import iou, unflip


def scene(seed: int, boxes: bool = False):
    """Anchors, objects of three images, the second without any, and wild predictions."""
    rng = torch.Generator().manual_seed(seed)
    rows = []
    for count in (4, 0, 9):
        corner = torch.rand(count, 2, generator=rng) * 60
        sides = 2 + 40 * torch.rand(count, 2, generator=rng)
        crowd = torch.rand(count, generator=rng) < 0.2
        rows.append({"boxes": torch.cat([corner, corner + sides], 1), "iscrowd": crowd})
    targets = Targets.from_list(rows)
    anchors = Grid((64, 96), [Level(stride=8, shapes=[(9.0, 9.0)]), Level(stride=16)])
    if boxes:
        anchors = Boxes.from_list([torch.rand(n, 4, generator=rng) for n in (30, 5, 70)])
    total = anchors.total(3)
    corner = torch.rand(total, 2, generator=rng) * 90
    found = torch.cat([corner, corner + 30 * torch.randn(total, 2, generator=rng)], 1)  # flipped
    found[::17] = torch.nan
    shape = () if boxes else (3, -1)
    logits = torch.zeros(total, 2)
    made = [
        values.view(*shape, values.shape[-1]) if shape else values for values in (logits, found)
    ]
    return anchors, targets, Predictions(logits=made[0], codes=made[1])


def by_hand(anchors, targets, predictions, floor, among):
    """Every pair of a row ``among`` and an object of its image that is no crowd."""
    boxes = unflip(predictions.codes.reshape(-1, 4))
    image = anchors.image_of(torch.arange(len(boxes)))
    value = iou(targets.boxes[:, None], boxes[None])
    keep = (value >= floor) & (value > 0) & (targets.image[:, None] == image)
    keep &= ~targets.ignore[:, None]
    keep &= torch.isin(torch.arange(len(boxes)), among)
    target, row = keep.nonzero(as_tuple=True)
    return row, target, value[target, row]


@pytest.mark.parametrize("boxes", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("by_object", [False, True])
@pytest.mark.parametrize("way", ["as it is", "table", "search"])
def test_rows_that_are_asked_for(boxes, share, by_object, way):
    for seed in range(6):
        anchors, targets, predictions = scene(seed, boxes)
        rng = torch.Generator().manual_seed(seed)
        chosen = torch.rand(anchors.total(3), generator=rng) < share
        if seed % 2:  # all in one image
            chosen &= anchors.image_of(torch.arange(len(chosen))) == 2
        among = chosen.nonzero()[:, 0]
        floor = torch.rand(len(targets), generator=rng) / 2 if by_object else 0.1
        wanted = by_hand(
            anchors, targets, predictions, floor[:, None] if by_object else floor, among
        )
        with nullcontext() if way == "as it is" else tables(way == "table"):
            found = predicted.overlapping_predictions(anchors, targets, predictions, floor, among)
        order = (found[1] * len(chosen) + found[0]).argsort()  # the search finds them in any order
        for ours, theirs in zip(found, wanted, strict=True):
            assert torch.equal(ours[order].to(theirs), theirs)
        if way == "as it is" or (way == "table" and not boxes):
            assert torch.equal(order, torch.arange(len(order)))


def test_few_rows_are_put_into_a_table_of_their_own(monkeypatch):
    """Else a table of all would answer, with the same pairs."""
    anchors, targets, predictions = scene(0)
    widths = []
    table = predicted.Table
    monkeypatch.setattr(
        predicted,
        "Table",
        lambda boxes, *rest, **how: widths.append(boxes.shape[1]) or table(boxes, *rest, **how),
    )
    for among in (torch.tensor([0, 3, 250]), torch.arange(anchors.total(3))):
        predicted.overlapping_predictions(anchors, targets, predictions, 0.1, among)
    assert widths == [2, len(anchors)]
