"""SSD and SSDLite against torchvision's: with the same weights the same boxes, losses, gradient."""

import pytest
import torch
from torch import nn
from torchvision.models.detection import ssd300_vgg16, ssdlite320_mobilenet_v3_large
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from kedge import Grid, Level
from kedge.anchors import preset
from kedge.assign import SSDMatch
from kedge.detectors import SSD, SSDLite
from kedge.losses import multibox_loss
from kedge.sample import HardNegatives
from kedge.types import Predictions, Targets

CLASSES = 4
TORCHVISIONS = {"ssd": ssd300_vgg16, "ssdlite": ssdlite320_mobilenet_v3_large}
OURS = {
    "ssd": lambda **k: SSD(num_classes=CLASSES, backbone="vgg16", **k),
    "ssdlite": lambda **k: SSDLite(num_classes=CLASSES, backbone="mobilenet_v3_large", **k),
}
SIDE = {"ssd": 300, "ssdlite": 320}


def scene(name, counts=(4, 0)):
    """Images and objects without ties: which of two equally good anchors is taken, nobody says."""
    side, anchors = SIDE[name], published(name).boxes()
    g = torch.Generator().manual_seed(0)
    images = [torch.rand(3, side, side, generator=g) for _ in counts]
    targets = []
    for count in counts:
        boxes = torch.zeros(0, 4)
        while len(boxes) < count:
            size = torch.rand(2, generator=g) * 90 + 20
            corner = torch.rand(2, generator=g) * (side - 2 - size) + 1
            box = torch.cat([corner, corner + size])[None]
            first, second = box_iou(box, anchors)[0].topk(2).values
            near = (box_iou(box, anchors) - 0.5).abs().min()
            if first - second > 1e-3 and near > 1e-4:
                boxes = torch.cat([boxes, box])
        labels = torch.randint(CLASSES, (count,), generator=g)
        targets.append({"boxes": boxes, "labels": labels})
    return images, targets


def published(name):
    base = preset({"ssd": "ssd300", "ssdlite": "ssdlite320"}[name])
    levels = [Level(stride=s, shapes=shapes) for s, shapes in base.levels]
    return Grid(base.image_size, levels)


def as_theirs(targets):
    return [{"boxes": t["boxes"], "labels": t["labels"] + 1} for t in targets]


def last_background(state, classes):
    """Background is first there and last here, within every shape."""
    return {
        key: value.view(-1, classes, *value.shape[1:]).roll(-1, 1).reshape(value.shape)
        for key, value in state.items()
    }


def copy_weights(theirs, ours):
    """Module by module, in torchvision's order."""
    ours, body = ours.output, ours.backbone
    state = theirs.backbone.state_dict()
    extra = list(theirs.backbone.extra)
    if "scale_weight" in state:
        body.backbone.norms["8"].weight.data.copy_(state["scale_weight"])
        whole = nn.Sequential(*theirs.backbone.features, *list(extra[0])[:-1])
        body.backbone.features.load_state_dict(whole.state_dict())
        body.backbone.fc.load_state_dict(extra[0][-1].state_dict())
        extra = extra[1:]
    else:
        body.backbone.features.load_state_dict(theirs.backbone.features.state_dict())
    for mine, its in zip(body.extra, extra, strict=True):
        mine.load_state_dict(its.state_dict())
    ours.codes.load_state_dict(theirs.head.regression_head.module_list.state_dict())
    for mine, its in zip(ours.classes, theirs.head.classification_head.module_list, strict=True):
        if isinstance(its, nn.Sequential):
            mine[0].load_state_dict(its[0].state_dict())
            mine, its = mine[1], its[1]
        mine.load_state_dict(last_background(its.state_dict(), CLASSES + 1))


@pytest.fixture(scope="module", params=TORCHVISIONS)
def both(request):
    """torchvision's and ours, with the same random weights; batch norm keeps its statistics."""
    torch.manual_seed(0)
    name = request.param
    theirs = TORCHVISIONS[name](weights=None, weights_backbone=None, num_classes=CLASSES + 1)
    ours = OURS[name](sample=HardNegatives(empty_image=0))
    images, targets = scene(name)
    with torch.no_grad():  # such that scores differ, and boxes move
        if name == "ssd":
            theirs.backbone.features[0].weight.div_(100)  # Caffe's colours go to 255
        else:
            for module in theirs.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight)
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = None
            theirs.train()(images, as_theirs(targets))
    copy_weights(theirs, ours)
    for model in (theirs, ours):
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval().train = lambda mode=True: None
    return name, theirs, ours


def test_preset_anchors_equal_torchvisions(both):
    name, theirs, ours = both
    side = SIDE[name]
    with torch.no_grad():
        maps = list(theirs.backbone(torch.zeros(1, 3, side, side)).values())
    (expected,) = theirs.anchor_generator(
        ImageList(torch.zeros(1, 3, side, side), [(side, side)]), maps
    )
    grid = ours.grid((side, side))
    assert [list(x.shape[-2:]) for x in maps] == [list(size) for size in grid.sizes]
    assert len(grid) == {"ssd": 8732, "ssdlite": 3234}[name]
    assert torch.allclose(grid.boxes(), expected, atol=1e-4)


def test_detections_equal_torchvisions(both):
    name, theirs, ours = both
    images, _ = scene(name)
    with torch.no_grad():
        expected, found = theirs.eval()(images), ours.eval()(images)
    for want, got in zip(expected, found, strict=True):
        assert len(got["boxes"]) == len(want["boxes"]) > 10
        assert torch.allclose(got["scores"], want["scores"], atol=1e-5)
        # equal scores may stand in another order
        assert torch.equal(got["labels"].bincount(), (want["labels"] - 1).bincount())
        same = (got["boxes"] - want["boxes"]).abs().amax(1) < 1e-2
        assert same.float().mean() > 0.98


def test_losses_and_a_gradient_equal_torchvisions(both):
    name, theirs, ours = both
    images, targets = scene(name)
    expected, found = theirs.train()(images, as_theirs(targets)), ours.train()(images, targets)
    assert torch.allclose(found["classification"], expected["classification"], rtol=1e-4)
    assert torch.allclose(found["box"], expected["bbox_regression"], rtol=1e-4)
    assert float(found["box"].detach()) > 0
    pairs = [
        (theirs.head.regression_head.module_list[1], ours.output.codes[1]),
        (theirs.backbone.extra[-1], ours.backbone.extra[-1]),
    ]
    for its, mine in pairs:
        wanted = torch.autograd.grad(
            sum(expected.values()), list(its.parameters()), retain_graph=True
        )
        got = torch.autograd.grad(sum(found.values()), list(mine.parameters()), retain_graph=True)
        for a, b in zip(got, wanted, strict=True):
            assert float((a - b).norm()) <= 1e-3 * float(b.norm()) + 1e-7


# -- by hand ---------------------------------------------------------------------------------------


def test_anchors_of_the_published_sizes():
    for size, count in ((300, 8732), (512, 24564)):
        model = SSD(num_classes=1, backbone="vgg16", size=size)
        grid = model.grid((size, size))
        assert len(grid) == count
        fc7 = torch.zeros(1, 1024, *grid.sizes[1])
        for block, expected in zip(model.backbone.extra, grid.sizes[2:], strict=True):
            fc7 = block(fc7)
            assert fc7.shape[-2:] == expected


def test_two_objects_that_share_their_best_anchor():
    """IoU with the upper left anchor: 28 x 26 / 1080 = .674 and 32 x 26 / 1280 = .65. The later
    keeps it, or by the authors' search the better; the other then takes the one below."""
    grid = Grid((64, 64), [Level(stride=32, shapes=[(32.0, 32.0)])])
    boxes = torch.tensor([[2.0, 6, 30, 34], [0, 6, 32, 40]])
    targets = Targets.from_list([{"boxes": boxes, "labels": torch.tensor([0, 1])}])
    best, greedy = (SSDMatch(positive=0.99, first=f)(grid, targets) for f in ("best", "greedy"))
    assert dict(zip(best.target.tolist(), best.anchor.tolist())) == {1: 0}
    assert dict(zip(greedy.target.tolist(), greedy.anchor.tolist())) == {0: 0, 1: 2}


def test_the_loss_of_one_object_and_its_three_hardest_negatives():
    """All logits 0 but those of the negatives 1 ... 4, which say "class 0" by 1 ... 4."""
    grid = Grid((16, 96), [Level(stride=16, shapes=[(16.0, 16.0)])])  # six anchors in a row
    logits = torch.zeros(1, 6, 3)
    logits[0, 1:5, 0] = torch.arange(1.0, 5)
    said = Predictions.from_dense(
        logits, torch.zeros(1, 6, 4), grid, SSD(num_classes=2).coder, multibox_loss().class_scores
    )
    boxes = torch.tensor([[0.0, 0, 32, 16]])  # IoU 1/2 with the first two: the lower is its best
    targets = Targets.from_list([{"boxes": boxes, "labels": torch.tensor([1])}])
    chosen = SSDMatch(positive=0.6)(grid, targets)
    assert chosen.anchor.tolist() == [0]
    loss = multibox_loss()
    sample = HardNegatives(ratio=3)(chosen, loss=loss.per_anchor(said, chosen))
    assert sample.negative.tolist() == [2, 3, 4]
    terms = loss(said, chosen, sample).terms
    negatives = sum(torch.tensor([float(k), 0, 0]).logsumexp(0).item() for k in (2, 3, 4))
    expected = torch.tensor(3.0).log().item() + negatives
    assert terms["classification"].item() == pytest.approx(expected, rel=1e-5)
    # half an anchor to the right: (1/2) / .1; twice as wide: log 2 / .2; smooth L1 with beta 1
    expected = (5 - 0.5) + (torch.tensor(2.0).log().item() / 0.2 - 0.5)
    assert terms["box"].item() == pytest.approx(expected, rel=1e-5)


def test_the_shapes_gradient_is_that_of_the_size_outputs_divided_by_their_deviation():
    model = SSD(num_classes=2, learn=True)
    images, targets = (
        [torch.rand(3, 64, 96)],
        [
            {
                "boxes": torch.tensor([[10.0, 20, 50, 44], [60, 10, 90, 60]]),
                "labels": torch.ones(2).long(),
            }
        ],
    )
    said = model.head(images[0][None])
    outcome = model.stage(said, Targets.from_list(targets))
    box = outcome.losses["box"]
    to_codes, to_shapes = torch.autograd.grad(box, [said.codes, model.shapes.log_shapes])
    row = said.anchors.shape_index(torch.arange(len(said)))
    expected = torch.zeros_like(to_shapes).index_add_(0, row, to_codes[0, :, 2:] / 0.2)
    assert torch.allclose(to_shapes, expected, atol=1e-6)
    assert to_shapes.abs().sum() > 0


@pytest.mark.parametrize("make", [SSD, SSDLite])
def test_only_the_box_loss_reaches_the_shapes(make):
    model = make(num_classes=CLASSES, learn=True)
    g = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[10.0, 20, 50, 44], [60, 10, 90, 60]])
    target = {"boxes": boxes, "labels": torch.tensor([0, 1])}
    losses = model([torch.rand(3, 64, 96, generator=g)], [target])
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(
            loss, [model.shapes.log_shapes], retain_graph=True, allow_unused=True
        )
        assert (gradient is not None and float(gradient.abs().sum()) > 0) == (name == "box")


def test_an_image_without_objects_teaches_its_hardest_negatives():
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long()}
    for count, positive in ((16, True), (0, False)):
        model = SSD(num_classes=CLASSES, sample=HardNegatives(empty_image=count))
        losses = model([torch.rand(3, 64, 96)], [empty])
        assert losses["box"] == 0
        assert (losses["classification"] > 0) == positive


def test_images_of_another_size_are_padded_or_refused():
    model = SSDLite(num_classes=2, backbone="mobilenet_v3_large").eval()
    assert model.head(torch.rand(1, 3, 200, 320)).shape == (1, 3234)
    with pytest.raises(ValueError, match=r"made for images of 320 x 320 pixels; .* 320 x 640 now"):
        model.head(torch.rand(1, 3, 200, 330))
    with pytest.raises(ValueError, match=r"300 or 512 with vgg16, no other .* got 512"):
        SSD(num_classes=2, size=512)
    with pytest.raises(ValueError, match=r"300 or 512 with vgg16, no other .* got 400"):
        SSD(num_classes=2, backbone="vgg16", size=400)
    with pytest.raises(ValueError, match=r"SSD has 5 levels .* got shapes for 4"):
        SSD(num_classes=2, shapes=[[(8.0, 8.0)]] * 4)


def test_other_backbones_get_two_more_maps():
    for make in (SSD, SSDLite):
        model = make(num_classes=2, backbone="resnet10t", width=16).eval()
        assert model.head(torch.rand(1, 3, 70, 130)).shape == (1, len(model.grid((96, 160))))
        assert [level.strides[0] for level in model.levels] == [8, 16, 32, 64, 128]
