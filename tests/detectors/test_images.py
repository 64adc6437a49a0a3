"""Batches of images, and what is refused."""

import pytest
import torch

from kedge.detectors import YOLOv2
from kedge.detectors.images import (
    PADDING,
    batch_images,
    check_labels,
    pack_targets,
    pad_to_multiple,
)
from kedge.select import NMS, Selection
from kedge.types import Assignment, Predictions, Targets


def test_images_are_padded_at_the_right_and_the_bottom():
    small, wide = torch.zeros(3, 4, 5), torch.ones(3, 2, 9)
    batch, sizes = batch_images([small, wide], smallest=1)
    assert batch.shape == (2, 3, 4, 9)
    assert sizes.tolist() == [[4, 5], [2, 9]]
    assert (batch[0, :, :4, :5] == 0).all()
    assert torch.allclose(batch[0, :, :, 5:], torch.tensor(PADDING))
    assert (batch[1, :, :2] == 1).all()
    assert torch.allclose(batch[1, :, 2:], torch.tensor(PADDING))


def test_a_tensor_is_passed_on_as_it_is():
    images = torch.rand(2, 3, 8, 8)
    batch, sizes = batch_images(images, smallest=8)
    assert batch is images
    assert sizes.tolist() == [[8, 8], [8, 8]]


@pytest.mark.parametrize(("size", "padded"), [((33, 64), (64, 64)), ((32, 1), (32, 32))])
def test_sides_are_rounded_up(size, padded):
    out = pad_to_multiple(torch.zeros(1, 3, *size), 32)
    assert out.shape == (1, 3, *padded)
    assert out.sum() == pytest.approx(3 * PADDING * (padded[0] * padded[1] - size[0] * size[1]))
    same = torch.zeros(1, 3, 64, 32)
    assert pad_to_multiple(same, 32) is same


def test_labels_name_image_and_object():
    targets = Targets.from_list(
        [{"boxes": torch.zeros(2, 4), "labels": torch.tensor([0, 1])},
         {"boxes": torch.zeros(2, 4), "labels": torch.tensor([1, 7])}]
    )  # fmt: skip
    check_labels(targets, 8)
    with pytest.raises(ValueError, match=r"image 1, object 1: label 7, but .* 7 classes"):
        check_labels(targets, 7)


def test_one_target_per_image():
    with pytest.raises(ValueError, match="3 images but 1 target: one per image"):
        pack_targets([{"boxes": torch.zeros(0, 4)}], 3)


def test_predictions_without_anchors_are_refused():
    model = YOLOv2(num_classes=1, shapes=[(16, 16)])
    said = Predictions.from_tensors(torch.zeros(1, 2, 1), torch.zeros(1, 2, 4), torch.zeros(1, 2))
    targets = Targets.from_list([{"boxes": torch.zeros(0, 4)}])
    chosen = Assignment(anchor=torch.zeros(0).long(), target=torch.zeros(0).long(), num_anchors=2,
                        targets=targets)  # fmt: skip
    with pytest.raises(ValueError, match=r"Predictions\.from_dense"):
        model.loss(said, chosen)
    with pytest.raises(ValueError, match=r"Predictions\.from_dense"):
        model.select(said, torch.tensor([[32, 32]]))


def test_detect_clips_to_the_batch_unless_told_otherwise():
    model = YOLOv2(num_classes=1, shapes=[(64, 64)]).eval()
    model.selection = Selection(score=0.0, suppress=NMS(1.0))  # every box: one reaches each edge
    images = torch.rand(1, 3, 32, 48)
    assert model.detect(images).boxes.amax(0)[2:].tolist() == [48, 32]
    cut = model.detect(images, torch.tensor([[20, 30]]))
    assert cut.boxes.amax(0)[2:].tolist() == [30, 20]


GOOD = {"boxes": torch.tensor([[1.0, 1, 9, 9]]), "labels": torch.tensor([0])}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"boxes": GOOD["boxes"], "label": GOOD["labels"]}, "has 'label': is 'labels' meant"),
        ({"boxes": GOOD["boxes"], "Labels": GOOD["labels"]}, "has 'Labels': is 'labels' meant"),
        ({"boxes": GOOD["boxes"]}, "image 1 has no 'labels', only \\['boxes'\\]"),
        ({"labels": GOOD["labels"], "bboxes": GOOD["boxes"]}, "has 'bboxes': is 'boxes' meant"),
        ({**GOOD, "is_crowd": torch.tensor([1])}, "has 'is_crowd': is 'iscrowd' meant"),
    ],
)
def test_a_key_that_would_be_overlooked_is_named(target, said):
    with pytest.raises(ValueError, match=said):
        pack_targets([GOOD, target], 2)


def test_keys_of_other_frameworks_are_left_alone():
    extra = {"image_id": torch.tensor(7), "area": torch.tensor([64.0]), "name": "a.jpg"}
    assert len(pack_targets([GOOD | extra], 1)) == 1


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (torch.rand(3, 8, 8) * 255, r"image 1 has values from .* divide bytes by 255"),
        (torch.rand(3, 8, 8) * 2 - 1, "image 1 has values from -"),
        (torch.full((3, 8, 8), float("nan")), "image 1 holds NaN or infinite values"),
        (torch.full((3, 8, 8), float("inf")), "image 1 holds NaN or infinite values"),
    ],
)
def test_colours_out_of_range_are_refused(image, said):
    with pytest.raises(ValueError, match=said):
        batch_images([torch.rand(3, 8, 8), image], smallest=1)
