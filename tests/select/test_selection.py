"""From scores to detections."""

import pytest
import torch

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.coders import DeltaCoder
from kedge.select import NMS, Selection
from kedge.types import Predictions

GRID = Grid(
    image_size=(32, 64),
    levels=[Level(stride=16, shapes=[(16.0, 16.0)]), Level(stride=32, shapes=[(32.0, 32.0)])],
)  # 2 x 4 cells, then 1 x 2


def said(batch=1, classes=2, codes=None):
    zeros = torch.zeros(batch, len(GRID), 4)
    codes = zeros if codes is None else codes
    return Predictions.from_codes(torch.zeros(batch, len(GRID), classes), codes, GRID, DeltaCoder())


def run(scores, predictions=None, sizes=None, **settings):
    predictions = said(len(scores), scores.shape[2]) if predictions is None else predictions
    sizes = torch.tensor([[32, 64]] * len(scores)) if sizes is None else sizes
    return Selection(**settings)(predictions, scores.flatten(0, 1), sizes).to_list()


def test_the_best_come_first_and_others_are_dropped():
    scores = torch.zeros(2, 10, 2)
    scores[0, 3, 1], scores[0, 5, 0], scores[1, 9, 1] = 0.4, 0.9, 0.06
    first, second = run(scores)
    assert first["scores"].tolist() == pytest.approx([0.9, 0.4])
    assert first["labels"].tolist() == [0, 1]
    assert first["boxes"].tolist() == [[16, 16, 32, 32], [48, 0, 64, 16]]
    assert second["boxes"].tolist() == [[32, 0, 64, 32]]


def test_the_threshold_is_strict_and_nan_never_passes():
    scores = torch.zeros(1, 10, 1)
    scores[0, 0], scores[0, 1], scores[0, 2] = 0.05, float("nan"), 0.06
    (found,) = run(scores)
    assert found["boxes"].tolist() == [[32, 0, 48, 16]]


def test_suppression_is_within_a_class_and_an_image():
    codes = torch.zeros(2, 10, 4)
    codes[:, 1, 0] = -0.9  # anchor 1 moves onto anchor 0: IoU .9
    scores = torch.zeros(2, 10, 2)
    scores[0, 0, 0], scores[0, 1, 0] = 0.9, 0.8
    scores[1, 0, 0], scores[1, 1, 1] = 0.7, 0.6
    first, second = run(scores, said(2, 2, codes))
    assert first["scores"].tolist() == pytest.approx([0.9])
    assert second["labels"].tolist() == [0, 1]


def test_boxes_are_clipped_before_suppression_and_empty_ones_go():
    codes = torch.zeros(1, 10, 4)
    codes[0, 0, 0] = -5.0  # wholly left of the image
    codes[0, 8, 2:] = 1.0
    scores = torch.zeros(1, 10, 1)
    scores[0, 0], scores[0, 8] = 0.9, 0.8
    (found,) = run(scores, said(1, 1, codes), torch.tensor([[20, 30]]))
    assert found["boxes"].tolist() == [[0, 0, 30, 20]]


def test_limits_per_level_and_per_image():
    scores = torch.rand(1, 10, 3, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.4
    (per_level,) = run(scores, candidates=2, suppress=NMS(threshold=1.0))
    assert len(per_level["boxes"]) == 4
    sides = (per_level["boxes"][:, 2] - per_level["boxes"][:, 0]).tolist()
    assert sorted(sides) == [16, 16, 32, 32]
    (most,) = run(scores, most=5, suppress=NMS(threshold=1.0))
    assert torch.equal(most["scores"], scores.flatten().sort(descending=True).values[:5])
    with pytest.raises(ValueError, match="candidates 0"):
        Selection(candidates=0)
