"""Batches with their ground truth: against a table of all pairs, and what the dense form says."""

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from kedge import ATSS, TAL, DeltaCoder, Grid, Level, LTRBCoder, MaxIoU, YOLOv5, read
from kedge.batches import AnchorBatches, Cached
from kedge.data import DetectionDataset, eval_transforms

SIZE = (96, 128)
GRID = Grid(
    image_size=SIZE,
    levels=[Level(stride=16, shapes=[(24, 24), (48, 24)]), Level(stride=32, shapes=[(64, 64)])],
)


@pytest.fixture(scope="module")
def dataset() -> DetectionDataset:
    return DetectionDataset(read("toy", "val"), eval_transforms(SIZE))


def share(anchors, crowds):
    """(N, C) of an anchor's area that a crowd covers."""
    low = torch.maximum(anchors[:, None, :2], crowds[None, :, :2])
    high = torch.minimum(anchors[:, None, 2:], crowds[None, :, 2:])
    sides = anchors[:, 2:] - anchors[:, :2]
    return (high - low).clamp(min=0).prod(2) / sides.prod(1, keepdim=True)


def test_labels_and_offsets_are_those_of_a_table_of_all_pairs(dataset):
    rule = MaxIoU(positive=0.5, negative=0.4, low_quality="none")
    seen = crowds = 0
    for number, batch in enumerate(AnchorBatches(dataset, GRID, rule, batch_size=5)):
        assert batch.images.shape[1:] == (3, *SIZE)
        for i in range(len(batch.images)):
            image, target = dataset[5 * number + i]
            assert torch.allclose(batch.images[i], image.float() / 255)
            crowd, anchors = target["iscrowd"], GRID.boxes()
            crowds += int(crowd.sum())
            boxes = torch.cat([target["boxes"][~crowd], torch.zeros(1, 4)])  # one in any case
            overlap, best = box_iou(anchors, boxes).max(1)
            labels = torch.cat([target["labels"][~crowd], torch.tensor([-1])])[best]
            labels[overlap < 0.5], labels[overlap < 0.4] = -2, -1
            covered = (share(anchors, target["boxes"][crowd]) >= 0.5).any(1)
            labels[covered & (labels == -1)] = -2
            assert torch.equal(batch.labels[i], labels)
            decoded = DeltaCoder().decode(GRID.boxes(), batch.dense_offsets[i])
            positive = labels >= 0
            assert torch.allclose(decoded[positive], boxes[best][positive], atol=1e-3)
            assert not batch.dense_offsets[i][~positive].any()
            seen += int(positive.sum())
    assert seen > 50
    assert crowds > 1


@pytest.mark.parametrize("rule", [ATSS(), YOLOv5(), MaxIoU()])
def test_the_dense_form_shows_pairs_of_the_sparse_one(dataset, rule):
    """YOLOv5 lets an anchor answer for several objects; one of them is shown, all of it."""
    for batch in AnchorBatches(dataset, GRID, rule, LTRBCoder(), batch_size=4):
        pairs, count = batch.assignment, len(GRID)
        rows = (batch.labels.view(-1) >= 0).nonzero()[:, 0]
        assert torch.equal(rows, pairs.anchor.unique())
        for row in rows[:40].tolist():
            offsets, label = batch.dense_offsets.view(-1, 4)[row], batch.labels.view(-1)[row]
            mine = pairs.anchor == row
            fits = (batch.offsets[mine] == offsets).all(1) & (pairs.labels[mine] == label)
            assert fits.any()
        assert batch.labels.shape == (len(batch.images), count)


def test_workers_and_a_cache_change_nothing(dataset, tmp_path):
    alone = list(AnchorBatches(dataset, GRID, ATSS(), batch_size=3, shuffle=True, seed=4))
    cached = Cached(ATSS(), tmp_path)
    shared = AnchorBatches(dataset, GRID, cached, batch_size=3, shuffle=True, seed=4, workers=1)
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.dense_offsets, other.dense_offsets)
    empty = sum(len(record.boxes) == 0 for record in dataset.data.records)
    assert empty > 1  # which share one answer
    assert len(list(tmp_path.rglob("*.safetensors"))) == len(dataset) - empty + 1


def test_an_epoch_has_its_own_order(dataset):
    batches = AnchorBatches(dataset, GRID, ATSS(), batch_size=3, shuffle=True)
    first, second = list(batches), list(batches)
    assert len(first) == len(second) == len(batches)
    assert not torch.equal(first[0].images, second[0].images)
    again = AnchorBatches(dataset, GRID, ATSS(), batch_size=3, shuffle=True)
    assert torch.equal(next(iter(again)).images, first[0].images)


def test_arrays_and_devices(dataset):
    batch = next(iter(AnchorBatches(dataset, GRID, ATSS(), batch_size=2)))
    arrays = batch.numpy()
    assert {name: array.shape for name, array in arrays.items()} == {
        "images": (2, *SIZE, 3),
        "anchors": (len(GRID), 4),
        "labels": (2, len(GRID)),
        "offsets": (2, len(GRID), 4),
    }
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    moved = batch.to("cpu")
    assert torch.equal(moved.labels, batch.labels)
    assert torch.equal(moved.offsets, batch.offsets)


def test_wrong_sizes_and_wrong_rules_are_named(dataset):
    other = Grid(image_size=(96, 96), levels=GRID.levels)
    with pytest.raises(ValueError, match=r"image 0 is 96 x 128 .*grid is for 96 x 96"):
        next(iter(AnchorBatches(dataset, other, ATSS())))
    with pytest.raises(ValueError, match="predictions"):
        next(iter(AnchorBatches(dataset, GRID, TAL())))
