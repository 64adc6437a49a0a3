"""Proposals of the original image reach the network where the image's objects are."""

import pytest
import torch

from kedge.data import DetectionDataset, collate, read, train_transforms
from kedge.data.transforms import eval_transforms, from_original, to_original
from kedge.detectors import FastRCNN, YOLOv2
from kedge.predict.proposals import Given, given_to
from kedge.proposals import SlidingWindow


class Objects:
    """Proposals that are the objects of a record, so that it is known where they have to be."""

    def __call__(self, records):
        return [(record.boxes, record.boxes[:, 0]) for record in records]


@pytest.fixture(scope="module")
def toy():
    return read("toy", "val")


def batches(data, transforms, epochs=1):
    for epoch in range(epochs):
        dataset = DetectionDataset(data, transforms, seed=3)
        dataset.set_epoch(epoch)
        yield collate([dataset[number] for number in range(6)])


@pytest.mark.parametrize("training", [True, False])
def test_they_move_as_objects_do(toy, training):
    """Scaled, put anywhere, flipped and cut off; letterboxed in evaluation."""
    transforms = train_transforms((160, 128), scale=(0.5, 2.0)) if training else None
    given, flips = Given(toy, Objects()), 0
    for images, targets in batches(toy, transforms or eval_transforms((160, 128)), 3):
        found = given(targets, images)
        assert found.batch_size == len(images)
        for number, target in enumerate(targets):
            flips += float(target["letterbox"][0]) < 0
            mine = target["boxes"][((target["boxes"][:, 2:] - target["boxes"][:, :2]) >= 1).all(1)]
            assert torch.allclose(found.boxes()[found.image == number], mine, atol=1e-4)
    assert (flips > 0) == training


def test_to_original_is_the_way_back(toy):
    dataset = DetectionDataset(toy, eval_transforms((160, 128)))
    target, record = dataset[0][1], toy.records[0]
    boxes = torch.tensor([[3.0, 4, 50, 60], [0, 0, record.width, record.height]])
    there = from_original(boxes, target, (160, 128))
    assert not torch.allclose(there, boxes)
    assert torch.allclose(to_original(there, target), boxes, atol=1e-3)
    outside = torch.tensor([[-50.0, 0, -10, 20], [10, 10, 10.5, 90]])
    assert len(from_original(outside, target, (160, 128))) == 0


def test_only_detectors_that_need_them_are_given_any(toy, tmp_path):
    file = tmp_path / "kept.npz"
    windows = SlidingWindow(sides=(1.0,), h_over_w=(1.0,))
    assert given_to(YOLOv2(num_classes=1), toy, file) is None
    assert not file.exists()
    assert given_to(FastRCNN(num_classes=1, source=windows, hidden=8), toy, file) is not None
    assert file.exists()
