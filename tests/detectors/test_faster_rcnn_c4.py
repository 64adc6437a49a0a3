"""Faster R-CNN on one map against torchvision's FasterRCNN(backbone=conv4, box_head=conv5)."""

import pytest
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN as Torchvisions
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from detectors.beside_torchvision import (
    CLASSES,
    EVERY,
    load_outputs,
    load_proposals,
    same_detections,
    same_losses,
)
from kedge.anchors.presets import preset, torchvision_rounded
from kedge.detectors import FasterRCNNC4
from kedge.detectors.backbones import cut_backbone
from kedge.detectors.region_parts import proposal_selection
from kedge.nn import BlockMean
from kedge.sample import RandomSample
from kedge.select import Selection

SIZES, RATIOS = (32, 64, 128, 256, 512), (0.5, 1.0, 2.0)


class OneMap(nn.Module):
    """Our trunk as a backbone of torchvision's."""

    def __init__(self, trunk):
        super().__init__()
        self.trunk, self.out_channels = trunk, trunk.channels[0]

    def forward(self, images):
        return self.trunk(images)[0]


@pytest.fixture(scope="module")
def both():
    """With the same random weights; samplers that take everything."""
    torch.manual_seed(0)
    shapes = torchvision_rounded(preset("faster_rcnn_c4").levels[0].shapes)
    ours = FasterRCNNC4(
        num_classes=CLASSES, backbone="resnet18", shapes=[shapes],
        selection=Selection(score=0.05, candidates=None, min_side=1e-2),
    )  # fmt: skip
    ours.regions.pool.aligned = False  # torchvision's layer has no half pixel of shift
    ours.proposals.sample = ours.regions.sample = RandomSample(size=EVERY, positive_share=1.0)
    ours.proposals.selections = dict.fromkeys((True, False), proposal_selection(300, 100))
    head = nn.Sequential(ours.regions.layers.block, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    theirs = Torchvisions(
        OneMap(ours.backbone), min_size=256, max_size=320,
        rpn_anchor_generator=AnchorGenerator((SIZES,), (RATIOS,)),
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=14, sampling_ratio=0),
        box_head=head, box_predictor=FastRCNNPredictor(512, CLASSES + 1),
        image_mean=[0, 0, 0], image_std=[1, 1, 1],
        rpn_batch_size_per_image=EVERY, rpn_positive_fraction=1.0,
        box_batch_size_per_image=EVERY, box_positive_fraction=1.0,
        rpn_pre_nms_top_n_train=300, rpn_post_nms_top_n_train=100,
        rpn_pre_nms_top_n_test=300, rpn_post_nms_top_n_test=100, box_score_thresh=0.05,
    )  # fmt: skip
    with torch.no_grad():  # else nothing moves
        theirs.rpn.head.bbox_pred.weight.mul_(8)
    load_proposals(ours.proposals.layers, theirs.rpn.head)
    load_outputs(ours.regions.layers, theirs.roi_heads.box_predictor)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval().train = lambda mode=True: None  # the same statistics in both
    return theirs, ours


def test_detections_equal_torchvisions(both):
    same_detections(*both)


@pytest.mark.slow
def test_losses_and_gradients_equal_torchvisions(both):
    ours = both[1]
    shared = [ours.backbone.layers[0][0].weight, ours.regions.layers.block[0].conv1.weight]
    same_losses(*both, [(weight, weight) for weight in shared])


def test_the_published_form_has_the_published_anchors():
    model = FasterRCNNC4(num_classes=2)
    assert model.strides == (16.0,)
    assert len(model.shapes.shapes) == 15
    square = model.shapes.shapes[5:10].tolist()  # h_over_w 1, sizes inner
    assert square == [pytest.approx([side, side]) for side in SIZES]


def test_another_backbone_is_an_error_that_says_which_there_are():
    with pytest.raises(ValueError, match="backbone 'vgg': here it is 'tiny' or one of resnet18"):
        FasterRCNNC4(num_classes=1, backbone="vgg")
    with pytest.raises(ValueError, match=r"resnet34.*cannot be dilated; take resnet50"):
        cut_backbone("resnet34", dilated=True)


def test_no_region_at_all_leaves_batch_norm_as_it_was():
    block = nn.Sequential(nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4)).train()
    logits, codes = BlockMean(block, 4, classes=3, codes=8)(torch.zeros(0, 2, 5, 5))
    assert logits.shape == (0, 3)
    assert codes.shape == (0, 8)
    assert block[1].running_mean.tolist() == [0.0] * 4
