"""Weighted box fusion: by hand, and against lists that are recomputed at every step."""

import pytest
import torch
from torchvision.ops import box_iou

from kedge.select.fusion import weighted_box_fusion

# two boxes with IoU .5, a third far away
BOXES = torch.tensor([[0.0, 0, 20, 10], [0.0, 0, 10, 10], [50.0, 50, 60, 80]])
SCORES = torch.tensor([0.9, 0.8, 0.7])


def crowd(n=120, classes=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(n, 2, generator=g) * torch.tensor([90.0, 40.0]) - 30
    boxes = torch.cat((corner, corner + 4 + torch.rand(n, 2, generator=g) * 30), 1)
    scores = torch.rand(n, generator=g)
    return boxes, scores, torch.randint(0, classes, (n,), generator=g)


def test_fusion_by_hand():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1.0, 0, 11, 10]])
    scores, model = torch.tensor([0.9, 0.6]), torch.tensor([0, 1])
    fused, score, label = weighted_box_fusion(boxes, scores, model=model)
    assert fused[0].tolist() == pytest.approx([0.4, 0, 10.4, 10])
    assert score.tolist() == pytest.approx([0.75])
    assert label.tolist() == [0]
    # one of two models saw it: the score halves
    _, score, _ = weighted_box_fusion(boxes[:1], scores[:1], weights=torch.ones(2))
    assert score.tolist() == pytest.approx([0.45])


def test_fusion_the_four_scores_by_hand():
    # models of weight 2, 1, 1; model 0 says .8, model 1 says .6: weighted 1.6 and .6, mean 1.1
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 10]])
    given = {
        "scores": torch.tensor([0.8, 0.6]),
        "model": torch.tensor([0, 1]),
        "weights": torch.tensor([2.0, 1.0, 1.0]),
    }
    wanted = {
        "avg": 1.1 * 2 / 4,
        "max": 1.6 / 2,
        "absent_model_aware_avg": 1.1 * 2 / (3 + 1),
        "box_and_model_avg": 1.1 * 2 / 3 * 3 / 4,
    }
    for kind, score in wanted.items():
        result = weighted_box_fusion(boxes, kind=kind, **given)[1]
        assert result.tolist() == pytest.approx([score]), kind
    # four boxes of one model: without overflow at most the three models count
    many = weighted_box_fusion(boxes[:1].repeat(4, 1), torch.full((4,), 0.5), weights=torch.ones(3))
    assert many[1].tolist() == pytest.approx([0.5])
    over = weighted_box_fusion(
        boxes[:1].repeat(4, 1), torch.full((4,), 0.5), weights=torch.ones(3), allow_overflow=True
    )
    assert over[1].tolist() == pytest.approx([0.5 * 4 / 3])


def brute_fusion(boxes, scores, labels, threshold):
    """One model, mean score: clusters as lists, recomputed from scratch each time."""
    clusters = []
    for i in scores.argsort(descending=True).tolist():
        best, where = threshold, None
        for c in clusters:
            if labels[c[0]] != labels[i]:
                continue
            fused = (scores[c, None] * boxes[c]).sum(0) / scores[c].sum()
            overlap = box_iou(fused[None], boxes[i : i + 1]).item()
            if overlap > best:
                best, where = overlap, c
        if where is None:
            clusters.append([i])
        else:
            where.append(i)
    return sorted(clusters)


def test_fusion_against_plain_loops():
    boxes, scores, labels = crowd(80, classes=3, seed=5)
    boxes, scores = boxes.double(), scores.double()
    clusters = brute_fusion(boxes, scores, labels, 0.4)
    wanted = []
    for c in clusters:
        box = (scores[c, None] * boxes[c]).sum(0) / scores[c].sum()
        wanted.append([scores[c].mean().item(), labels[c[0]].item(), *box.tolist()])
    fused, score, label = weighted_box_fusion(boxes, scores, labels, threshold=0.4)
    rows = torch.cat((score[:, None], label[:, None], fused), 1)
    assert (score[1:] <= score[:-1]).all()
    torch.testing.assert_close(torch.tensor(sorted(rows.tolist())), torch.tensor(sorted(wanted)))


def test_fusion_edges():
    boxes, score, label = weighted_box_fusion(torch.zeros(0, 4), torch.zeros(0))
    assert (boxes.shape, score.shape, label.shape) == ((0, 4), (0,), (0,))
    assert len(weighted_box_fusion(BOXES, SCORES, min_score=0.75)[0]) == 2
    with pytest.raises(ValueError, match="weights"):
        weighted_box_fusion(BOXES, SCORES, model=torch.tensor([0, 1, 2]), weights=torch.ones(2))
    with pytest.raises(ValueError, match="kind"):
        weighted_box_fusion(BOXES, SCORES, kind="median")
    with pytest.raises(ValueError, match="equally long"):
        weighted_box_fusion(BOXES, SCORES[:2])
