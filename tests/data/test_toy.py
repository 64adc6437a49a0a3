import os

import numpy as np
import pytest

from kedge.data import DetectionDataset, read, toy
from kedge.data.toy_art import Scene, Thing, draw


@pytest.fixture(scope="module")
def train():
    return read("toy")


def everything(data):
    return np.concatenate([record.boxes[~record.crowd] for record in data.records])


def test_it_holds_what_it_promises(train):
    boxes = everything(train)
    side = boxes[:, 2:] - boxes[:, :2]
    area, ratio = side.prod(1), side[:, 1] / side[:, 0]
    assert len(train) == 400
    assert area.max() / area.min() > 100
    assert 5 <= side.min() < 6
    assert 1 / 6 <= ratio.min() < 0.2
    assert 5 < ratio.max() <= 6.001
    assert (boxes >= 0).all()
    assert (boxes <= [320, 256, 320, 256]).all()
    labels = np.concatenate([record.labels for record in train.records])
    assert (np.bincount(labels, minlength=5) > 200).all()
    assert 10 < sum(len(record.boxes) == 0 for record in train.records) < 60
    assert sum(record.crowd.any() for record in train.records) > 5


def test_a_few_anchors_fit_it_and_wrong_ones_do_not(train):
    """Mean best shape IoU: five from the data, five squares of every size, five large ones."""
    boxes = everything(train)
    side = boxes[:, 2:] - boxes[:, :2]

    def iou(shapes):
        shared = np.minimum(side[:, None], shapes[None]).prod(-1)
        return shared / (side.prod(1)[:, None] + shapes.prod(1)[None] - shared)

    shapes = np.array([(14, 13), (57, 23), (22, 85), (76, 74), (15, 43)], float)
    squares = np.repeat(np.geomspace(12, 120, 5), 2).reshape(-1, 2)
    large = np.repeat(np.arange(60, 141, 20.0), 2).reshape(-1, 2)
    assert iou(shapes).max(1).mean() > 0.66
    assert iou(squares).max(1).mean() < 0.56
    assert iou(large).max(1).mean() < 0.35


def test_the_same_seed_draws_the_same_and_another_does_not():
    one, two, three = (toy.data(images=3, seed=seed).records for seed in (4, 4, 5))
    for a, b, c in zip(one, two, three):
        assert np.array_equal(a.boxes, b.boxes)
        assert np.array_equal(a.draw(), b.draw())
        assert not np.array_equal(a.draw(), c.draw())


def test_more_images_do_not_change_the_first_and_val_is_another_set():
    few, many = toy.data(images=2), toy.data(images=5)
    assert all(np.array_equal(a.boxes, b.boxes) for a, b in zip(few.records, many.records))
    assert not np.array_equal(toy.data("val").records[0].draw(), few.records[0].draw())


@pytest.mark.parametrize("label", range(5))
@pytest.mark.parametrize("box", [(10, 20, 70, 32), (10.3, 5.6, 17.9, 41.2), (0, 0, 6, 5)])
def test_a_thing_fills_its_box_exactly(label, box):
    scene = {"key": (0, 0, 1), "size": (64, 80)}
    empty = draw(Scene(things=(), **scene)).astype(int)
    thing = Thing(label=label, box=box, crowd=False)
    changed = np.abs(draw(Scene(things=(thing,), **scene)).astype(int) - empty).max(-1) > 2
    rows, columns = changed.any(1).nonzero()[0], changed.any(0).nonzero()[0]
    found = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    # a pixel for the soft edge, and two more at the fine tip of a wedge
    assert np.abs(np.subtract(found, box)).max() <= (3 if label == 4 else 1.5)


def test_written_and_read_again_it_is_the_same(tmp_path):
    folder = toy.write(tmp_path / "new" / "toy", train=6, val=2)
    assert sorted(os.listdir(folder)) == ["images", "train.json", "val.json"]
    assert os.listdir(folder.parent) == ["toy"]  # nothing half-written is left
    for split, count in (("train", 6), ("val", 2)):
        disk, memory = read(folder, split), toy.data(split, count)
        assert (disk.classes, disk.category_ids) == (memory.classes, memory.category_ids)
        assert len(disk) == count
        for a, b in zip(disk.records, memory.records):
            assert np.array_equal(a.boxes, b.boxes)
            assert np.array_equal(a.crowd, b.crowd)
            assert a.image_id == b.image_id
        one, other = DetectionDataset(disk)[0][0], DetectionDataset(memory)[0][0]
        assert one.equal(other)


def test_a_folder_in_use_is_not_overwritten(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        toy.write(tmp_path, train=1, val=1)
    assert os.listdir(tmp_path) == ["precious.txt"]


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(toy, "_write_split", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        toy.write(tmp_path / "toy")
    assert os.listdir(tmp_path) == []


def test_bad_arguments():
    with pytest.raises(ValueError, match="train"):
        read("toy", "test")
    with pytest.raises(ValueError, match="64 pixels"):
        toy.data(size=(10, 200))
