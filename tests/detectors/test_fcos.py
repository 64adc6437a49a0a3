"""FCOS against torchvision's: with the same weights the same boxes, losses and gradient."""

import pytest
import torch
from torch import nn
from torchvision.models.detection import FCOS as Torchvisions
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

import kedge
from detectors.beside_torchvision import Body
from detectors.scenes import make, target
from kedge.detectors import FCOS
from kedge.select import NMS, Selection
from kedge.types import Targets

CLASSES = 4


def scene(seed=0, counts=(3, 0, 4)):
    g = torch.Generator().manual_seed(seed)
    targets = []
    for count in counts:
        corner = torch.rand(count, 2, generator=g) * torch.tensor([120.0, 60.0])
        size = torch.rand(count, 2, generator=g) * 100 + 20
        labels = torch.randint(CLASSES, (count,), generator=g)
        boxes = torch.cat([corner, corner + size], 1)
        targets.append({"boxes": boxes, "labels": labels})
    return [torch.rand(3, 128, 256, generator=g) for _ in counts], targets


def move(layer, source):
    layer.load_state_dict(source.state_dict())


@pytest.fixture(scope="module")
def both():
    """torchvision's and ours, with the same random weights that say something everywhere."""
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, trainable_layers=5, returned_layers=[2, 3, 4],
        extra_blocks=LastLevelP6P7(256, 256),
    )  # fmt: skip
    theirs = Torchvisions(
        backbone, num_classes=CLASSES, min_size=128, max_size=256, image_mean=[0, 0, 0],
        image_std=[1, 1, 1],
    )  # fmt: skip
    with torch.no_grad():
        for name, parameter in theirs.head.named_parameters():
            if "conv" not in name and "weight" in name:
                parameter.mul_(4)
        theirs.head.regression_head.bbox_reg.bias.fill_(1.5)
        theirs.head.classification_head.cls_logits.bias.fill_(-2.0)
    ours = FCOS(
        num_classes=CLASSES, backbone=Body3(backbone.body), offset=0.0, width=256,
        assign=kedge.FCOS(centre_radius=1.5, strict=True),
        selection=Selection(score=0.2, suppress=NMS(threshold=0.6)),
    )  # fmt: skip
    ours.loss.weigh_boxes = None
    copy_weights(theirs, ours)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval().train = lambda mode=True: None  # the same statistics in both
    return theirs, ours


class Body3(Body):
    channels, strides = (128, 256, 512), (8, 16, 32)


def copy_weights(theirs, ours):
    fpn = theirs.backbone.fpn
    own = {k: v for k, v in fpn.state_dict().items() if not k.startswith("extra_blocks")}
    ours.pyramid.top_down.load_state_dict(own)
    move(ours.pyramid.p6, fpn.extra_blocks.p6)
    move(ours.pyramid.p7, fpn.extra_blocks.p7)
    classes, boxes = theirs.head.classification_head, theirs.head.regression_head
    move(ours.layers.class_tower, classes.conv)
    move(ours.layers.box_tower, boxes.conv)
    move(ours.layers.classes, classes.cls_logits)
    move(ours.layers.codes, boxes.bbox_reg)
    move(ours.layers.quality, boxes.bbox_ctrness)


def test_detections_equal_torchvisions(both):
    theirs, ours = (model.eval() for model in both)
    images, _ = scene()
    with torch.no_grad():
        expected, found = theirs(images), ours(images)
    for want, got in zip(expected, found, strict=True):
        assert len(got["boxes"]) == len(want["boxes"]) > 10
        assert torch.equal(got["labels"], want["labels"])
        assert torch.allclose(got["boxes"], want["boxes"], atol=1e-3)
        assert torch.allclose(got["scores"], want["scores"], atol=1e-5)


def test_losses_and_a_gradient_equal_torchvisions(both):
    theirs, ours = (model.train() for model in both)
    images, targets = scene()
    expected, found = theirs(images, targets), ours(images, targets)
    names = {
        "classification": "classification",
        "box": "bbox_regression",
        "quality": "bbox_ctrness",
    }
    assert found.keys() == names.keys()
    for mine, its in names.items():
        assert float(found[mine].detach()) > 0
        assert torch.allclose(found[mine], expected[its], rtol=1e-4), mine
    layers = theirs.head.regression_head.conv[0].weight, ours.layers.box_tower[0].weight
    want = torch.autograd.grad(sum(expected.values()), layers[0])[0]
    got = torch.autograd.grad(sum(found.values()), layers[1])[0]
    assert float((got - want).norm() / want.norm()) < 1e-3


def test_centre_sampling_can_be_left_out():
    """Of an object of 60 px the points of stride 8 within 12 px of its middle, or all."""
    packed = Targets.from_list([target([[2.0, 2, 62, 62]])])
    sampled, whole = make("fcos"), make("fcos", assign=kedge.FCOS())
    counts = [len(model.assign(model.grid((64, 96)), packed)) for model in (sampled, whole)]
    assert counts == [2 * 2, 8 * 8]  # 28 and 36; 4, 12 ... 60
