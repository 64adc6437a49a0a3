"""From scores to detections."""

import pytest
import torch

from kedge import Boxes
from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.coders import DeltaCoder
from kedge.select import NMS, Selection, score_voting
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


def test_nan_crowds_nobody_out():
    scores = torch.full((1, 10, 200), torch.nan)
    scores[0, 3, 7] = 0.9
    for top in ("level", "class", "image"):
        (found,) = run(scores, top=top, candidates=5)
        assert found["scores"].tolist() == pytest.approx([0.9])
        assert found["labels"].tolist() == [7]


def test_classes_stay_apart_at_any_coordinate_and_number():
    """A shift in float32 would put boxes of class 900 upon each other, or lose their sides."""
    far = Grid(image_size=(16, 1 << 20), levels=[Level(stride=16, shapes=[(16.0, 16.0)])])
    count, classes = len(far), 1000
    said = Predictions.from_codes(
        torch.zeros(1, count, classes), torch.zeros(1, count, 4), far, DeltaCoder()
    )
    scores = torch.zeros(1, count, classes)
    scores[0, -2:, 900], scores[0, -2:, 901] = 0.9, 0.8
    (found,) = run(scores, said, torch.tensor([[16, 1 << 20]]))
    assert len(found["boxes"]) == 4
    assert (found["boxes"][:, 2] - found["boxes"][:, 0] == 16).all()


def test_ragged_lists_are_selected_like_a_table():
    """The same boxes as lists of equal length, where a table is read, and as ragged ones."""
    g = torch.Generator().manual_seed(0)
    corner = torch.rand(2, 30, 2, generator=g) * 100
    boxes = torch.cat([corner, corner + 5 + torch.rand(2, 30, 2, generator=g) * 40], -1)
    scores, codes = torch.rand(60, 3, generator=g), torch.randn(60, 4, generator=g) * 0.1
    sizes = torch.tensor([[150, 150]] * 2)
    dense = Boxes(boxes)
    packed = Boxes(dense.boxes(), dense.image, batch_size=2)
    for top in ("level", "class", "image"):
        for candidates in (None, 4, 11):
            selection = Selection(score=0.3, top=top, candidates=candidates)
            found = [
                selection(
                    Predictions(logits=scores, codes=codes, anchors=a, coder=DeltaCoder()),
                    scores, sizes,
                )
                for a in (dense, packed)
            ]  # fmt: skip
            assert torch.equal(found[0].boxes, found[1].boxes)
            assert torch.equal(found[0].labels, found[1].labels)
            assert torch.equal(found[0].image, found[1].image)


def test_boxes_of_every_class_are_read_at_their_class():
    logits, codes = torch.zeros(1, 10, 2), torch.zeros(1, 10, 2, 4)
    codes[0, 3, 1, 0] = 1.0  # of class 1 a side further right
    said = Predictions.from_dense(logits, codes, GRID, DeltaCoder())
    scores = torch.zeros(1, 10, 2)
    scores[0, 3] = 0.9
    (found,) = run(scores, said)
    order = found["labels"].argsort()
    assert found["boxes"][order].tolist() == [[48, 0, 64, 16], [64, 0, 64, 16]][:1]


def test_voting_is_exact_under_autocast():
    boxes = torch.tensor([[1000.3, 1000.7, 1100.1, 1103.9], [1003.1, 1001.2, 1101.7, 1100.3]])
    scores, keep = torch.tensor([0.9, 0.8]), torch.tensor([0])
    plain = score_voting(boxes, scores, keep=keep)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = score_voting(boxes, scores, keep=keep)
    assert torch.equal(plain, cast)


def test_proposals_are_kept_apart_by_level():
    scores = torch.zeros(1, 10, 1)
    scores[0, [0, 8], 0] = torch.tensor([0.9, 0.8])  # 16 px on the first level, 32 on the second
    codes = torch.zeros(1, 10, 4)
    codes[0, 8, 2:] = torch.tensor(0.5).log()
    codes[0, 8, :2] = -0.25  # upon the first
    (apart,) = run(scores, said(1, 1, codes), apart="level")
    assert len(apart["boxes"]) == 2
    (one,) = run(scores, said(1, 1, codes), apart="image")
    assert len(one["boxes"]) == 1
