"""What a step logs: counted by hand, and the background's part of the class loss."""

import pytest
import torch

from kedge.assign import MaxIoU
from kedge.detectors import RetinaNet, YOLOv2
from kedge.train.watch import Watch, class_losses, step_facts
from kedge.types import Targets

BOXES = torch.tensor([[8.0, 8, 40, 40], [50, 20, 90, 60], [0, 0, 3, 3]])


def scene() -> Targets:
    return Targets(
        boxes=BOXES,
        labels=torch.tensor([0, 1, 0]),
        image=torch.tensor([0, 0, 1]),
        ignore=torch.tensor([False, False, True]),
        batch_size=2,
    )


def watched(model, targets):
    torch.manual_seed(0)
    predictions = model.head(torch.rand(2, 3, 64, 96))
    watch = Watch(assign=model.assign)
    losses = model.loss(predictions, targets, assign=watch)
    assert watch.last is not None
    return predictions, watch.last, losses


def test_yolov2_counts_objects_and_positives_and_sees_images_once():
    model = YOLOv2(num_classes=2, shapes=[(30, 30), (40, 40)]).train()
    predictions, assignment, losses = watched(model, scene())
    facts = step_facts(model, predictions, assignment)
    assert (facts["objects"], facts["answered"], facts["positives"]) == (2, 2, 2)
    assert 0 < facts["background_share"] < 1
    assert model.training
    assert int(model.images_seen) == 2
    whole, positive = class_losses(model, predictions, assignment)
    assert whole == pytest.approx(losses["objectness"].item() + losses["classification"].item())
    assert 0 < positive < whole


def test_retinanet_share_is_that_of_the_dense_focal_loss():
    model = RetinaNet(num_classes=2, assign=MaxIoU(positive=0.5, negative=0.4)).eval()
    predictions, assignment, losses = watched(model, scene())
    whole, positive = class_losses(model, predictions, assignment)
    p = predictions.logits.detach().sigmoid()
    focal = -0.75 * p**2 * (1 - p).log()
    count = max(1, len(assignment))
    dense = float(focal[assignment.background()].sum()) / count
    assert abs(whole - positive - dense) < 1e-4 * max(dense, 1)
    assert whole == pytest.approx(losses["classification"].item())


def test_a_batch_without_objects_is_all_background():
    model = YOLOv2(num_classes=2, shapes=[(30, 30)]).train()
    none = Targets.from_list([{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long()}] * 2)
    predictions, assignment, _ = watched(model, none)
    facts = step_facts(model, predictions, assignment)
    assert facts == {"objects": 0, "answered": 0, "positives": 0, "background_share": 1.0}


def test_losses_of_other_names_have_no_share():
    from kedge.assign import FreeAnchor

    model = RetinaNet(num_classes=2, assign=FreeAnchor()).train()
    predictions, assignment, _ = watched(model, scene())
    assert "background_share" not in step_facts(model, predictions, assignment)
