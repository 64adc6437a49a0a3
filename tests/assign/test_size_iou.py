"""SizeIoU: on paper, and against the dense rule."""

import math

import pytest
import torch
from anchors.scenes import scenes
from assign.rules import from_labels, iou_matrix, outcome, per_image
from hypothesis import given, settings

from kedge import Free, Targets
from kedge.assign import SizeIoU


def dense(anchors, boxes, rule: SizeIoU):
    """Every anchor's best object, and whether it reaches what that object asks for."""
    labels = torch.full((len(anchors),), -1)
    if len(boxes):
        top, own = iou_matrix(anchors, boxes).max(1)
        labels[(top >= rule.negative) & (top > 0)] = -2
        asked = []
        for x1, y1, x2, y2 in boxes.tolist():
            side = math.sqrt((x2 - x1) * (y2 - y1))
            wanted = rule.base + rule.slope * math.log2(side / rule.size) if side else 0
            asked.append(min(max(wanted, rule.negative), rule.most))
        enough = (top >= torch.tensor(asked)[own]) & (top > 0)
        labels[enough] = own[enough]
    return from_labels(labels)


def test_the_threshold_by_hand():
    side = torch.tensor([0.0, 6, 12, 24, 48, 96, 192])
    boxes = torch.stack([0 * side, 0 * side, side / 2, 2 * side], 1)  # half as wide, twice as high
    # .25 at 12 px, .15 an octave, from .2 to .7
    want = [0.2, 0.2, 0.25, 0.4, 0.55, 0.7, 0.7]
    assert SizeIoU().threshold(boxes).tolist() == pytest.approx(want)


def test_by_hand():
    # objects of 12 and 48 px ask for .25 and .55; the anchors are shares of them
    shares = [0.3, 0.22, 0.1, 0.6, 0.3]
    left = torch.tensor([0.0, 0, 0, 100, 100])
    wide = torch.tensor(shares) * torch.tensor([12, 12, 12, 48, 48])
    high = torch.tensor([12.0, 12, 12, 48, 48])
    anchors = torch.stack([left, 0 * left, left + wide, high], 1)
    box = torch.tensor([[0.0, 0, 12, 12], [100, 0, 148, 48]])
    got = SizeIoU()(Free(anchors), Targets.from_list([{"boxes": box}]))
    assert outcome(got) == ([(0, 0), (3, 1)], {1, 4})


@settings(max_examples=40, deadline=None)
@given(scenes(crowds=False))
def test_equals_the_dense_rule(scene):
    grid, targets = scene
    rule = SizeIoU(base=0.3131)  # no IoU of whole pixels meets it to the last bit
    want = per_image(targets, grid, lambda boxes, _: dense(grid.boxes(), boxes, rule))
    assert outcome(rule(grid, targets)) == want


@pytest.mark.parametrize(
    "bad",
    [{"negative": 0}, {"negative": 0.8}, {"most": 1.2}, {"size": 0}, {"slope": -1}],
)
def test_settings_are_checked(bad):
    with pytest.raises(ValueError, match="SizeIoU needs"):
        SizeIoU(**bad)
