"""Fast R-CNN and R-CNN: what they do with boxes that they are given, or find by themselves."""

import pytest
import torch
from torch import nn
from torchvision.ops import roi_pool

from detectors.scenes import CLASSES, PROPOSED, batch, make, target
from kedge import Boxes
from kedge.assign import SoftCell
from kedge.detectors.detector import HasProposals
from kedge.detectors.images import PADDING, batch_images, pack_targets
from kedge.detectors.resize import Resize
from kedge.detectors.stage import Outcome
from kedge.nn import Warp
from kedge.sample import RandomSample
from kedge.types import Detections

IMAGES, TARGETS = batch()
EVERY = RandomSample(size=10**7, positive_share=1.0)
both = pytest.mark.parametrize("name", PROPOSED)


def given():
    images, sizes = batch_images(IMAGES, smallest=8)
    return images, pack_targets(TARGETS, 3), sizes


@both
def test_it_trains_and_detects_on_what_its_source_finds(name):
    model = make(name)
    losses = model(IMAGES, TARGETS)
    assert losses.keys() == {"classification", "box"}
    torch.stack(list(losses.values())).sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
    found = model.eval()(IMAGES)
    for image, one in zip(IMAGES, found, strict=True):
        assert one["boxes"].shape == (len(one["scores"]), 4)
        assert (one["boxes"][:, 2:] <= torch.tensor(image.shape[:0:-1])).all()
        assert ((one["labels"] >= 0) & (one["labels"] < CLASSES)).all()


@both
def test_boxes_that_are_given_are_the_ones_looked_at(name):
    model = make(name).eval()
    images, _, sizes = given()
    lists = [torch.tensor([[8.0, 8, 40, 40], [20, 10, 60, 50]]), torch.zeros(0, 4),
             torch.tensor([[0.0, 0, 96, 64]])]  # fmt: skip
    seen = []
    pool = model.regions.pool
    model.regions.pool = lambda maps, boxes, image: (
        seen.append((boxes, image)),
        pool(maps, boxes, image),
    )[1]
    model(IMAGES, proposals=lists)
    assert torch.equal(seen[0][0], torch.cat(lists))
    assert seen[0][1].tolist() == [0, 0, 2]
    model.train()
    model.regions.sample = EVERY
    seen.clear()
    model(IMAGES, TARGETS, proposals=lists)
    # objects that are no crowd are regions too: three, none, one; what a crowd covers is left out
    assert len(seen[0][0]) == 2 + 3 + 1 + 1
    with pytest.raises(ValueError, match="these Boxes are of 2 images"):
        model.losses(
            images, pack_targets(TARGETS, 3), sizes=sizes, proposals=Boxes.from_list(lists[:2])
        )


@both
def test_images_are_resized_with_objects_and_proposals(name, monkeypatch):
    """The network sees all in pixels of the batch; what it finds comes back in the images'."""
    model, seen = make(name), []
    model.resize = Resize(size=(96, 128))
    batch, sizes = model.resize(IMAGES, smallest=8)
    lists = [torch.tensor([[8.0, 8, 40, 40], [20, 10, 60, 50]])] * len(IMAGES)
    rates = [torch.tensor([128 / i.shape[2], 96 / i.shape[1]]).repeat(2) for i in IMAGES]
    placed = torch.cat([boxes * rate for boxes, rate in zip(lists, rates)])
    objects = torch.cat([t["boxes"] * rate for t, rate in zip(TARGETS, rates)])

    def losses(images, targets, *, sizes, proposals):
        seen.append((images, sizes, targets.boxes, proposals.anchor_boxes))
        return Outcome({})

    def detect(images, sizes, proposals):
        seen.append((images, sizes, proposals.anchor_boxes))
        zeros = torch.zeros(len(proposals.image))
        return Detections(
            boxes=proposals.anchor_boxes, scores=zeros, labels=zeros.long(),
            image=proposals.image, batch_size=len(images),
        )  # fmt: skip

    monkeypatch.setattr(model, "losses", losses)
    monkeypatch.setattr(model, "detect", detect)
    model(IMAGES, TARGETS, proposals=lists)
    found = model.eval()(IMAGES, proposals=lists)
    for got, want in zip(seen, [(batch, sizes, objects, placed), (batch, sizes, placed)]):
        torch.testing.assert_close(got, want)
    for one, boxes in zip(found, lists, strict=True):
        torch.testing.assert_close(one["boxes"], boxes)


@both
def test_no_proposal_and_no_object_at_all(name):
    model = make(name)
    losses = model(IMAGES[:1], [target([])], proposals=[torch.zeros(0, 4)])
    assert all(float(loss.detach()) == 0 for loss in losses.values())
    found = model.eval()(IMAGES[:1], proposals=[torch.zeros(0, 4)])
    assert found[0]["boxes"].shape == (0, 4)


@both
def test_what_it_proposes_is_what_the_source_finds_in_the_image_without_padding(name):
    model = make(name)
    assert isinstance(model, HasProposals)
    images, _, sizes = given()
    found = model.propose(images, sizes)
    for number, (image, one) in enumerate(zip(IMAGES, found.to_list(), strict=True)):
        pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        boxes, _ = model.source.boxes(pixels)
        assert torch.equal(one["boxes"], torch.from_numpy(boxes)), number
    assert (found.labels == 0).all()


def test_there_is_no_strategy_of_anchors_to_override():
    model, (images, targets, sizes) = make("fast_rcnn"), given()
    assert model.shapes is model.grid((64, 96)) is model.rule is model.head(images) is None
    with pytest.raises(ValueError, match="FastRCNN has no anchors"):
        model.losses(images, targets, sizes=sizes, assign=SoftCell())


def test_fast_rcnn_is_the_second_stage_of_faster_rcnn():
    """On the same maps and boxes: the same detections, and the same losses."""
    images, targets, sizes = given()
    faster, fast = make("faster_rcnn"), make("fast_rcnn")
    fast.regions, fast.features, fast.multiple = faster.regions, faster.features, faster.multiple
    faster.regions.sample = EVERY
    for module in faster.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    boxes = Boxes.from_detections(faster.propose(images, sizes))
    want = faster.losses(images, targets, sizes=sizes).losses
    got = fast.losses(images, targets, sizes=sizes, proposals=boxes).losses
    for key, loss in got.items():
        assert float(loss.detach()) == float(want[key].detach()) > 0
    faster.eval(), fast.eval()
    boxes = Boxes.from_detections(faster.propose(images, sizes))
    want, got = faster.detect(images, sizes), fast.detect(images, sizes, boxes)
    assert len(want) == len(got) > 0
    assert torch.equal(want.boxes, got.boxes)
    assert torch.equal(want.scores, got.scores)


def test_fast_rcnn_pools_as_torchvisions_roi_pool():
    model = make("fast_rcnn")
    (x,) = model.features(torch.rand(2, 3, 64, 96))
    boxes, image = torch.tensor([[8.0, 8, 40, 40], [3, 5, 90, 60]]), torch.tensor([0, 1])
    rois = torch.cat([image[:, None].float(), boxes], 1)
    assert torch.equal(model.regions.pool([x], boxes, image), roi_pool(x, rois, 7, 1 / 8))


def test_background_of_fast_rcnn_touches_an_object_where_there_is_such():
    model = make("fast_rcnn")
    model.regions.sample = type(model.regions.sample)(
        size=4, positive_share=0.25, bins=1, floor=0.1, floor_fraction=0.0
    )
    targets = pack_targets([target([[0, 0, 40, 40]])], 1)
    far = torch.tensor([[60.0, 60, 80, 80]]).expand(50, 4)
    near = torch.tensor([[20.0, 0, 60, 40], [0, 20, 40, 60]])  # IoU 1/3
    boxes = Boxes.from_list([torch.cat([far, near])]).with_objects(targets)
    assignment = model.regions.assign(boxes, targets)
    from kedge.detectors.stage import largest_iou

    sample = model.regions.sample(assignment, None, largest_iou(assignment))
    assert assignment.anchor[sample.positive].tolist() == [52]
    assert {50, 51} <= set(sample.negative.tolist())
    assert len(sample.negative) == 3  # one of those far away fills up


def test_crops_by_hand():
    """A crop of 8 pixels with 2 of context: 4 pixels for the box, so one for each of its own."""
    image = torch.arange(64.0).view(1, 1, 8, 8).expand(1, 3, 8, 8) / 64
    crop = Warp(8, context=2, sampling=1)(
        [image], torch.tensor([[2.0, 2, 6, 6]]), torch.tensor([0])
    )
    assert torch.allclose(crop[0], image[0], atol=1e-6)
    # of a box in the corner a quarter lies within the image, the rest is grey
    crop = Warp(8, context=2, sampling=1)(
        [image], torch.tensor([[-4.0, -4, 0, 0]]), torch.tensor([0])
    )
    assert torch.allclose(crop[0, :, :5, :5], torch.full((3, 5, 5), PADDING))
    assert torch.allclose(crop[0, :, 6:, 6:], image[0, :, :2, :2], atol=1e-6)
    # a box of another aspect ratio fills the crop too: 8 wide, 4 high gives 16 by 8 pixels
    wide = torch.zeros(1, 3, 32, 32)
    wide[..., 8:12, 8:16] = 1
    crop = Warp(8, context=2, sampling=2)(
        [wide], torch.tensor([[8.0, 8, 16, 12]]), torch.tensor([0])
    )
    inside = torch.zeros(8, 8)
    inside[2:6, 2:6] = 1
    assert torch.allclose(crop[0, 0].round(), inside)
    with pytest.raises(ValueError, match="leaves nothing of 8 pixels"):
        Warp(8, context=4)


def test_evaluation_in_parts_is_evaluation_at_once():
    model = make("rcnn").eval()
    images, _, sizes = given()
    whole = model.detect(images, sizes)
    model.regions.at_once = 7
    parts = model.detect(images, sizes)
    assert torch.allclose(whole.boxes, parts.boxes, atol=1e-4)
    assert torch.allclose(whole.scores, parts.scores, atol=1e-6)
