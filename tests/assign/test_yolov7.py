"""YOLOv7: by hand, against the dense form as released, and its edge cases."""

import pytest
import torch
import torch.nn.functional as F
from assign.dense import boxes_grid, dynamic_match, ids, images, scene, table
from assign.rules import yolov5

from kedge import Grid, Level, Predictions, Targets
from kedge.assign import YOLOv7
from kedge.boxes import iou


def dense_yolov7(grid, targets, predictions, rule: YOLOv7):
    """YOLOv5's candidates of an image x its objects: {(flat anchor, target): IoU}."""
    out = {}
    for image, rows, boxes, labels, logits, predicted in images(grid, targets, predictions):
        own = yolov5(grid, boxes, rule.max_ratio, rule.reach)[0]
        if not own:
            continue
        valid = torch.tensor(sorted({anchor for anchor, _ in own}))
        mine = torch.zeros(len(rows), len(valid), dtype=torch.bool)
        for anchor, g in own:
            mine[g, torch.searchsorted(valid, anchor)] = True
        overlap = iou(boxes[:, None], predicted[None, valid])
        score = logits[valid].double().sigmoid()
        if predictions.objectness is not None:
            score = score * predictions.objectness[image][valid].double().sigmoid()[:, None]
        score = score.sqrt()[None].expand(len(rows), -1, -1)
        onehot = F.one_hot(labels, logits.shape[1])[:, None].expand_as(score).double()
        classes = F.binary_cross_entropy(score, onehot, reduction="none").sum(-1)
        cost = rule.class_weight * classes - rule.iou_weight * (overlap + 1e-8).log()
        cost[~mine & (overlap == 0)] = torch.inf  # the deviation: no candidate of this object
        match = dynamic_match(cost, overlap, rule.k)
        for g, n in match.nonzero().tolist():
            out[image * len(grid) + int(valid[n]), int(rows[g])] = float(overlap[g, n])
    return out


@pytest.mark.parametrize("rule", [YOLOv7(), YOLOv7(max_ratio=2.0, reach=0.3, k=3)], ids=repr)
@pytest.mark.parametrize("objectness", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_dense_form(rule, objectness, seed):
    grid = boxes_grid()
    counts = (5, 0, 1, 9 + 12 * (seed % 2))  # crowded: many anchors are wanted several times
    targets, predictions = scene(
        grid, seed, counts, objectness=objectness, dtype=torch.float64, side=(8, 70)
    )
    found = rule(grid, targets, predictions)
    expected = dense_yolov7(grid, targets, predictions, rule)
    assert ids(found) == sorted(expected)
    assert table(found, found.quality) == pytest.approx(expected, rel=1e-5)


def test_by_hand():
    """One shape on a row of cells, the object centred in the left half of the third: that and the
    second are candidates. IoU .8 and .7: k = 1, and at equal scores the first is cheaper."""
    grid = Grid((8, 40), [Level(stride=8, shapes=[(16, 8)])])
    targets = Targets.from_list([{"boxes": [[10.0, 0, 26, 8]], "labels": [0]}])  # centre 18: cell 2
    boxes = torch.zeros(1, 5, 4)
    boxes[0, 1] = torch.tensor([10.0, 0, 21.2, 8])
    boxes[0, 2] = torch.tensor([10.0, 0, 22.8, 8])
    boxes[0, 3] = targets.boxes[0]  # the best prediction, in no cell that answers
    predictions = Predictions.from_tensors(torch.zeros(1, 5, 1), boxes)
    assert ids(YOLOv7()(grid, targets, predictions)) == [(2, 0)]
    # -3 ln .8 = .669 and -3 ln .7 = 1.070: a score of .9 against .5 is worth .294
    logits = torch.zeros(1, 5, 1)
    logits[0, 1] = torch.logit(torch.tensor(0.99))  # -ln sqrt(.99) = .005 against .347
    assert ids(YOLOv7()(grid, targets, Predictions.from_tensors(logits, boxes))) == [(2, 0)]
    logits[0, 2] = torch.logit(torch.tensor(0.2))  # -ln sqrt(.2) = .805: 1.474 against 1.075
    assert ids(YOLOv7()(grid, targets, Predictions.from_tensors(logits, boxes))) == [(1, 0)]
    # the shape is 16 wide: an object four times as wide has no candidate
    wide = Targets.from_list([{"boxes": [[-12.0, 0, 52, 8]], "labels": [0]}])
    assert len(YOLOv7()(grid, wide, predictions)) == 0


def test_refuses_what_makes_no_sense():
    for bad in ({"max_ratio": 1.0}, {"reach": 0.6}, {"k": 0}, {"iou_weight": -1.0}):
        with pytest.raises(ValueError, match="YOLOv7"):
            YOLOv7(**bad)
    targets, _ = scene(boxes_grid(), 0)
    with pytest.raises(ValueError, match="YOLOv7 needs predictions"):
        YOLOv7()(boxes_grid(), targets)
