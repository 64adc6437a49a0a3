"""Cascade R-CNN: what each stage is trained with, by hand, and that one stage is Faster R-CNN."""

import pytest
import torch
from torch import nn
from torchvision.ops import box_iou

from detectors.scenes import CLASSES, batch, make
from kedge import Boxes
from kedge.anchors import LearnedShapes
from kedge.detectors.cascade import CascadeHead, next_boxes
from kedge.detectors.images import batch_images, pack_targets
from kedge.sample import RandomSample
from kedge.types import Targets

EVERY = 10**7


def given():
    images, targets = batch()
    images, sizes = batch_images(images, smallest=8)
    return images, pack_targets(targets, 3), sizes


class Say(nn.Module):
    """Layers that answer every region alike."""

    def __init__(self, logits, codes):
        super().__init__()
        self.logits, self.codes = torch.tensor(logits), torch.tensor(codes)

    def forward(self, features):
        count = len(features)
        return self.logits.expand(count, -1), self.codes.expand(count, -1)


def test_a_cascade_of_one_stage_is_faster_rcnn_with_one_box_for_all_classes():
    images, targets, sizes = given()
    faster = make("faster_rcnn", class_specific=False)
    cascade = make("cascade_rcnn")
    head = cascade.regions.heads[0]
    cascade.regions = CascadeHead([head], cascade.regions.selection)
    head.loss, head.sample = faster.regions.loss, RandomSample(size=EVERY, positive_share=1.0)
    faster.regions.sample = head.sample
    for model in (faster, cascade):
        model.proposals.sample = head.sample
    state = {k.replace("regions.", "regions.heads.0."): v for k, v in faster.state_dict().items()}
    cascade.load_state_dict(state)
    want, got = (model.losses(images, targets, sizes=sizes).losses for model in (faster, cascade))
    assert {name.removesuffix("_1"): float(loss.detach()) for name, loss in got.items()} == {
        name: float(loss.detach()) for name, loss in want.items()
    }
    want, got = (model.eval().detect(images, sizes) for model in (faster, cascade))
    assert len(got) == len(want) > 0
    assert torch.equal(got.boxes, want.boxes)
    assert torch.equal(got.scores, want.scores)


def test_a_box_of_iou_055_trains_the_first_stage_only():
    targets = Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 100, 100]]),
                                  "labels": torch.tensor([1])}])  # fmt: skip
    boxes = Boxes.from_list([torch.tensor([[0.0, 0, 100, 55], [0.0, 0, 100, 65], [0, 0, 100, 75]])])
    heads = make("cascade_rcnn").regions.heads
    positives = [head.assign(boxes, targets).anchor.tolist() for head in heads]
    assert positives == [[0, 1, 2], [1, 2], [2]]
    for head, centre, weight in zip(heads, (0.1, 0.05, 0.1 / 3), (1, 0.5, 0.25), strict=True):
        assert head.coder.stds == pytest.approx((centre, centre, 2 * centre, 2 * centre))
        assert (head.loss.class_weight, head.loss.box_weight) == (weight, weight)


def test_what_goes_on_are_corrected_boxes_without_the_objects_cut_off_and_never_empty():
    targets = Targets.from_list(
        [
            {"boxes": torch.tensor([[10.0, 10, 30, 50]]), "labels": torch.tensor([1])},
            {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long()},
        ]
    )
    first = torch.tensor([[0.0, 0, 20, 40], [40, 0, 60, 20], [10, 10, 30, 50]])
    second = torch.tensor([[30.0, 30, 50, 40]])
    boxes, sizes = Boxes.from_list([first, second]), torch.tensor([[64, 64], [64, 40]])
    head = make("cascade_rcnn").regions.heads[0]
    # codes times .1: centres move by half a width to the right; sizes stay
    head.pool = lambda maps, boxes, image: boxes
    head.layers = Say([0.0] * (CLASSES + 1), [5.0, 0, 0, 0])
    found = head.predict([], boxes)
    after = next_boxes(found, targets, sizes)
    # the third is the object itself; the fourth is [40, 30, 60, 40], outside an image 40 wide
    assert after.boxes().tolist() == [[10.0, 0, 30, 40], [50, 0, 64, 20]]
    assert after.image.tolist() == [0, 0]
    again = after.with_objects(targets)
    assert again.boxes().tolist()[2:] == [[10.0, 10, 30, 50]]
    assert not again.boxes().requires_grad


def test_scores_are_the_mean_of_the_heads_each_at_its_own_boxes_and_boxes_the_last_ones():
    cascade = make("cascade_rcnn").eval().regions
    seen = []

    def pool(maps, boxes, image):
        seen.append(boxes)
        return boxes

    says = ([2.0, 0, 0, 0], [0.0, 2, 0, 0], [0.0, 0, 0, 2])
    for head, logits in zip(cascade.heads, says, strict=True):
        head.pool, head.layers = pool, Say(logits, [0.0, 1 / head.coder.stds[1] / 4, 0, 0])
    found = cascade.detect([], Boxes.from_list([torch.tensor([[8.0, 8, 24, 24]])]),
                           torch.tensor([[64, 64]]))  # fmt: skip
    # every stage moves the box down by a quarter of its height, 4 pixels
    assert [boxes.tolist() for boxes in seen] == [
        [[8, 8 + 4 * k, 24, 24 + 4 * k]] for k in range(3)
    ]
    assert found.boxes.tolist() == [[8, 20, 24, 36]] * CLASSES
    e = torch.tensor(2.0).exp().item()
    high, low = (e + 2) / (e + 3) / 3, 3 / (e + 3) / 3
    assert found.scores.tolist() == pytest.approx([high, high, low])


def test_the_later_stages_see_better_boxes_and_every_object_again():
    images, targets, sizes = given()
    model = make("cascade_rcnn")
    lists = []
    for head in model.regions.heads:
        own = head.learn
        head.learn = lambda maps, boxes, *rest, own=own: (
            lists.append(boxes),
            own(maps, boxes, *rest),
        )[1]
    losses = model.losses(images, targets, sizes=sizes).losses
    named = {f"{name}_{k}" for name in ("classification", "box") for k in (1, 2, 3)}
    assert losses.keys() == {"proposal_classification", "proposal_box"} | named
    assert all(torch.isfinite(loss) for loss in losses.values())
    real = ~targets.ignore
    for boxes in lists:
        for image in range(3):
            objects = targets.boxes[real & (targets.image == image)]
            mine = boxes.boxes()[boxes.image == image]
            assert torch.equal(mine[len(mine) - len(objects) :], objects)
            limit = sizes[image].flip(0).repeat(2).to(mine)
            assert (mine >= 0).all()
            assert (mine <= limit).all()
    first, later = lists[0], lists[1]
    kept = box_iou(later.boxes(), first.boxes()).amax(1)
    assert (kept < 1).sum() > 0  # corrected, not passed on


def test_only_the_proposals_box_loss_reaches_the_shapes():
    images, targets, sizes = given()
    model = make("cascade_rcnn", learn=True)
    assert isinstance(model.shapes, LearnedShapes)
    losses = model.losses(images, targets, sizes=sizes).losses
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(
            loss, [model.shapes.log_shapes], retain_graph=True, allow_unused=True
        )
        reached = gradient is not None and float(gradient.abs().sum()) > 0
        assert reached == (name == "proposal_box"), name
