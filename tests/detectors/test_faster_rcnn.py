"""Faster R-CNN against torchvision's: with the same weights the same boxes, losses and gradient."""

import pytest
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN as Torchvisions
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import box_iou

from detectors.beside_torchvision import (
    CLASSES,
    EVERY,
    Body,
    load_outputs,
    load_proposals,
    same_detections,
    same_losses,
    scene,
)
from kedge import Boxes
from kedge.anchors import preset
from kedge.assign import MaxIoU
from kedge.detectors import FasterRCNN
from kedge.detectors.region_parts import proposal_selection
from kedge.nn import RoIPool
from kedge.sample import RandomSample
from kedge.select import Selection
from kedge.types import Targets


@pytest.fixture(scope="module")
def both():
    """torchvision's and ours, with the same random weights; samplers that take everything."""
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=5)
    theirs = Torchvisions(
        backbone, num_classes=CLASSES + 1, min_size=256, max_size=320,
        rpn_anchor_generator=AnchorGenerator(
            ((32,), (64,), (128,), (256,), (512,)), ((0.5, 1.0, 2.0),) * 5
        ),
        image_mean=[0, 0, 0], image_std=[1, 1, 1],
        rpn_batch_size_per_image=EVERY, rpn_positive_fraction=1.0,
        box_batch_size_per_image=EVERY, box_positive_fraction=1.0,
        rpn_pre_nms_top_n_train=300, rpn_post_nms_top_n_train=200,
        rpn_pre_nms_top_n_test=300, rpn_post_nms_top_n_test=200, box_score_thresh=0.2,
    )  # fmt: skip
    with torch.no_grad():  # else nothing moves
        for name, parameter in theirs.named_parameters():
            if name.startswith(("rpn.head.bbox", "roi_heads.box_predictor")):
                parameter.mul_(8)
    shapes = [level.shapes for level in preset("faster_rcnn_fpn_torchvision").levels]
    ours = FasterRCNN(
        num_classes=CLASSES, backbone=Body(backbone.body), shapes=shapes,
        selection=Selection(score=0.2, candidates=None, min_side=1e-2),
    )  # fmt: skip
    ours.proposals.sample = ours.regions.sample = RandomSample(size=EVERY, positive_share=1.0)
    ours.proposals.selections = dict.fromkeys((True, False), proposal_selection(300, 200))
    copy_weights(theirs, ours)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval().train = lambda mode=True: None  # the same statistics in both
    return theirs, ours


def copy_weights(theirs, ours):
    ours.pyramid.top_down.load_state_dict(theirs.backbone.fpn.state_dict())
    load_proposals(ours.proposals.layers, theirs.rpn.head)
    regions, box = ours.regions.layers, theirs.roi_heads
    regions.fc6.load_state_dict(box.box_head.fc6.state_dict())
    regions.fc7.load_state_dict(box.box_head.fc7.state_dict())
    load_outputs(regions, box.box_predictor)


def test_detections_equal_torchvisions(both):
    same_detections(*both)


def test_losses_and_a_gradient_equal_torchvisions(both):
    theirs, ours = both
    same_losses(*both, [(theirs.rpn.head.bbox_pred.weight, ours.proposals.layers.codes.weight)])


def test_only_the_proposals_box_loss_reaches_the_shapes():
    torch.manual_seed(0)
    model = FasterRCNN(num_classes=CLASSES, learn=True)
    losses = model(*scene())
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(
            loss, [model.shapes.log_shapes], retain_graph=True, allow_unused=True
        )
        reached = gradient is not None and float(gradient.abs().sum()) > 0
        assert reached == (name == "proposal_box"), name


def test_regions_are_read_from_the_level_that_fits():
    pool = RoIPool((4, 8, 16, 32))
    side = torch.tensor([1.0, 55, 56, 111, 112, 223, 224, 447, 448, 2000, 0])
    boxes = torch.cat([torch.zeros(len(side), 2), side[:, None].expand(-1, 2)], 1)
    assert pool.levels(boxes).tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 0]
    assert RoIPool((16,)).levels(boxes).tolist() == [0] * len(side)
    with pytest.raises(ValueError, match="'roi_align' or 'roi_pool', got 'max'"):
        RoIPool((4,), kind="max")


def test_a_second_stage_on_ragged_lists_assigns_as_the_dense_rule_does():
    g = torch.Generator().manual_seed(1)
    lists = [torch.rand(n, 2, generator=g) * 200 for n in (30, 0, 55)]
    lists = [torch.cat([c, c + 10 + torch.rand(len(c), 2, generator=g) * 80], 1) for c in lists]
    targets = Targets.from_list(scene(counts=(3, 2, 5))[1])
    got = MaxIoU(positive=0.3, negative=0.3, low_quality="none")(Boxes.from_list(lists), targets)
    answer = torch.full((85,), -1)
    answer[got.anchor] = got.target
    for image, part in enumerate(answer.split([30, 0, 55])):
        mine = (targets.image == image).nonzero()[:, 0]
        value, best = box_iou(lists[image], targets.boxes[mine]).max(1)
        assert torch.equal(part, torch.where(value >= 0.3, mine[best], -1))


def test_objects_are_proposals_in_training_and_crowds_are_not():
    torch.manual_seed(0)
    model = FasterRCNN(num_classes=CLASSES).train()
    images, targets = scene(counts=(2, 1))
    targets[0]["iscrowd"] = torch.tensor([0, 1])
    packed = Targets.from_list(targets)
    found = model.propose(torch.stack(images))
    boxes = Boxes.from_detections(found, packed)
    assert len(boxes) == len(found) + 2
    assert torch.equal(boxes.image, boxes.image.sort().values)
    assert boxes.total(2) == len(boxes)


def test_strategies_that_read_predictions_need_all_regions():
    from kedge.assign import TAL
    from kedge.sample import All

    torch.manual_seed(0)
    model = FasterRCNN(num_classes=CLASSES)
    model.regions.assign = TAL()
    with pytest.raises(ValueError, match="TAL needs predictions"):
        model(*scene(counts=(2, 1)))
    model.regions.sample, model.regions.layers.codes = All(), nn.Linear(128, 4)  # one box for all
    losses = model(*scene(counts=(2, 1)))
    assert all(torch.isfinite(loss) for loss in losses.values())
