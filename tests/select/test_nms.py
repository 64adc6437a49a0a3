"""Duplicate removal: by hand, and against plain loops over boxes."""

import math

import pytest
import torch
import torchvision.ops
from torchvision.ops import box_iou

from kedge import select as N
from kedge.boxes import centre_distance

EVERY = {
    "nms": N.nms,
    "diou": N.diou_nms,
    "soft": N.soft_nms,
    "soft-linear": lambda *a: N.soft_nms(*a, method="linear"),
    "matrix": N.matrix_nms,
    "matrix-linear": lambda *a: N.matrix_nms(*a, method="linear"),
}
every = pytest.mark.parametrize("suppress", EVERY.values(), ids=EVERY.keys())

# two boxes with IoU .5, a third far away
BOXES = torch.tensor([[0.0, 0, 20, 10], [0.0, 0, 10, 10], [50.0, 50, 60, 80]])
SCORES = torch.tensor([0.9, 0.8, 0.7])


def crowd(n=120, classes=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(n, 2, generator=g) * torch.tensor([90.0, 40.0]) - 30
    boxes = torch.cat((corner, corner + 4 + torch.rand(n, 2, generator=g) * 30), 1)
    scores = torch.rand(n, generator=g)
    return boxes, scores, torch.randint(0, classes, (n,), generator=g)


def split(result):
    return result if isinstance(result, tuple) else (result, None)


@every
def test_no_boxes_and_one_box(suppress):
    index, scores = split(suppress(torch.zeros(0, 4), torch.zeros(0)))
    assert index.shape == (0,)
    assert index.dtype == torch.int64
    empty = torch.zeros(0, dtype=torch.int64)
    assert split(suppress(torch.zeros(0, 4), torch.zeros(0), empty))[0].shape == (0,)
    index, scores = split(suppress(BOXES[:1], SCORES[:1], torch.tensor([7])))
    assert index.tolist() == [0]
    assert scores is None or scores.item() == pytest.approx(0.9)


@every
def test_classes_never_touch_each_other(suppress):
    boxes, scores, labels = crowd()
    index, new = split(suppress(boxes, scores, labels))
    for c in range(4):
        rows = (labels == c).nonzero()[:, 0]
        alone, alone_scores = split(suppress(boxes[rows], scores[rows]))
        of_class = labels[index] == c
        assert torch.equal(index[of_class], rows[alone])
        if new is not None:
            torch.testing.assert_close(new[of_class], alone_scores)


@every
def test_a_batch_in_one_call_by_label(suppress):
    boxes, scores, labels = crowd(seed=1)
    twice = torch.cat((labels, labels + 4))
    index = split(suppress(boxes.repeat(2, 1), scores.repeat(2), twice))[0]
    one = split(suppress(boxes, scores, labels))[0]
    assert torch.equal(index[index < 120], one)
    assert torch.equal(index[index >= 120] - 120, one)


@every
def test_best_first_and_arguments_untouched(suppress):
    boxes, scores, labels = crowd(seed=2)
    kept = boxes.clone(), scores.clone(), labels.clone()
    index, new = split(suppress(boxes, scores, labels))
    new = scores[index] if new is None else new
    assert (new[1:] <= new[:-1]).all()
    assert len(index.unique()) == len(index)
    assert all(torch.equal(a, b) for a, b in zip(kept, (boxes, scores, labels)))


@every
def test_order_of_boxes_does_not_matter(suppress):
    boxes, scores, labels = crowd(seed=3)
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    index = split(suppress(boxes, scores, labels))[0]
    shuffled = split(suppress(boxes[order], scores[order], labels[order]))[0]
    assert torch.equal(order[shuffled], index)


@every
def test_equal_scores_keep_the_lower_index_and_degenerate_boxes_survive(suppress):
    same = BOXES[:1].repeat(3, 1)
    assert split(suppress(same, torch.full((3,), 0.5)))[0][0] == 0
    points = torch.tensor([[5.0, 5, 5, 5], [5.0, 5, 5, 5], [1.0, 1, 1, 9]])
    index, scores = split(suppress(points, SCORES))
    assert index[0] == 0
    assert scores is None or scores.isfinite().all()


@every
def test_wrong_shapes_are_named(suppress):
    with pytest.raises(ValueError, match="scores"):
        suppress(BOXES, SCORES[:2])
    with pytest.raises(ValueError, match="labels"):
        suppress(BOXES, SCORES, torch.zeros(2, dtype=torch.int64))


def test_nms_by_hand():
    assert N.nms(BOXES, SCORES, threshold=0.5).tolist() == [0, 1, 2]  # .5 is not above .5
    assert N.nms(BOXES, SCORES, threshold=0.49).tolist() == [0, 2]
    assert N.nms(BOXES, SCORES, torch.tensor([0, 1, 0]), threshold=0.49).tolist() == [0, 1, 2]


def test_nms_equals_torchvision():
    for seed in range(5):
        boxes, scores, labels = crowd(400, seed=seed)
        for threshold in (0.3, 0.6):
            ours = N.nms(boxes, scores, threshold=threshold)
            assert torch.equal(ours, torchvision.ops.nms(boxes, scores, threshold))
            per_class = torch.zeros(400, dtype=torch.bool)
            for c in range(4):
                rows = (labels == c).nonzero()[:, 0]
                per_class[rows[torchvision.ops.nms(boxes[rows], scores[rows], threshold)]] = True
            ours = N.nms(boxes, scores, labels, threshold=threshold)
            assert torch.equal(ours.sort()[0], per_class.nonzero()[:, 0])


def test_nms_with_negative_coordinates_where_the_offset_trick_merges_classes():
    boxes = torch.tensor([[0.0, 0, 10, 10], [-11.0, -11, -1, -1]])
    scores, labels = torch.tensor([0.9, 0.8]), torch.tensor([0, 1])
    trick = torchvision.ops.boxes._batched_nms_coordinate_trick(boxes, scores, labels, 0.5)
    assert len(trick) == 1  # the trap
    assert N.nms(boxes, scores, labels).tolist() == [0, 1]


def test_nms_keeps_precision_with_many_classes_and_far_coordinates():
    # IoU .52 at coordinates near 1e4 and label 5,000: shifting in float32 would round to 4 px
    a = torch.tensor([9990.0, 9990.0, 10000.0, 10000.0])
    b = a + torch.tensor([0.0, 0.0, 0.0, -4.8])
    boxes, scores = torch.stack((a, b)), torch.tensor([0.9, 0.8])
    far = torch.cat((boxes, torch.tensor([[0.0, 0, 1, 1]]).repeat(5000, 1)))
    labels = torch.cat((torch.tensor([5000, 5000]), torch.arange(5000)))
    scores = torch.cat((scores, torch.full((5000,), 0.5)))
    for threshold, kept in ((0.51, 5001), (0.53, 5002)):
        assert len(N.nms(far, scores, labels, threshold=threshold)) == kept


def test_diou_nms_by_hand_and_beta():
    # IoU .5, distance 25 / 500 = .05: the criterion is .45; with beta .5 it is .5 - .2236
    assert N.diou_nms(BOXES, SCORES, threshold=0.46).tolist() == [0, 1, 2]
    assert N.diou_nms(BOXES, SCORES, threshold=0.44).tolist() == [0, 2]
    assert N.diou_nms(BOXES, SCORES, threshold=0.44, beta=0.5).tolist() == [0, 1, 2]


def brute_diou(boxes, scores, threshold, beta):
    left, kept = scores.argsort(descending=True).tolist(), []
    while left:
        best = left.pop(0)
        kept.append(best)
        overlap = box_iou(boxes[best : best + 1], boxes)[0]
        penalty = centre_distance(boxes[best], boxes) ** beta
        left = [j for j in left if overlap[j] - penalty[j] < threshold]
    return kept


def brute_soft(boxes, scores, method, sigma, threshold, min_score):
    left, scores, kept = list(range(len(boxes))), scores.tolist(), []
    while left:
        best = max(left, key=lambda j: scores[j])
        left.remove(best)
        if scores[best] <= min_score:
            continue
        kept.append((scores[best], best))
        for j in left:
            overlap = box_iou(boxes[best : best + 1], boxes[j : j + 1]).item()
            if method == "gaussian":
                scores[j] *= math.exp(-(overlap**2) / sigma)
            elif overlap > threshold:
                scores[j] *= 1 - overlap
    return sorted(kept, reverse=True)


def brute_matrix(boxes, scores, method, sigma):
    def f(x):
        return math.exp(-sigma * x * x) if method == "gaussian" else 1 - x

    order, overlap = scores.argsort(descending=True).tolist(), box_iou(boxes, boxes).tolist()
    result = []
    for place, j in enumerate(order):
        decay = 1.0
        for before, i in enumerate(order[:place]):
            worst = max((overlap[k][i] for k in order[:before]), default=0.0)
            decay = min(decay, f(overlap[i][j]) / f(worst))
        result.append((scores[j].item() * decay, j))
    return sorted(result, reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_against_plain_loops(seed):
    boxes, scores, _ = crowd(60, seed=10 + seed)
    for beta in (1.0, 0.6):
        wanted = brute_diou(boxes, scores, 0.4, beta)
        assert N.diou_nms(boxes, scores, threshold=0.4, beta=beta).tolist() == wanted
    for method in ("gaussian", "linear"):
        wanted = brute_soft(boxes, scores, method, 0.5, 0.3, 0.05)
        index, new = N.soft_nms(boxes, scores, method=method, min_score=0.05)
        assert index.tolist() == [j for _, j in wanted]
        assert new.tolist() == pytest.approx([s for s, _ in wanted], rel=1e-4)
        wanted = brute_matrix(boxes, scores, method, 2.0)
        index, new = N.matrix_nms(boxes, scores, method=method)
        assert new.tolist() == pytest.approx([s for s, _ in wanted], rel=1e-4)
        assert index.tolist() == [j for _, j in wanted]


def test_soft_nms_by_hand():
    index, scores = N.soft_nms(BOXES, SCORES)
    assert dict(zip(index.tolist(), scores.tolist())) == pytest.approx(
        {0: 0.9, 1: 0.485225, 2: 0.7}, abs=1e-6
    )
    assert index.tolist() == [0, 2, 1]
    assert N.soft_nms(BOXES, SCORES, method="linear")[1].tolist() == pytest.approx([0.9, 0.7, 0.4])
    assert N.soft_nms(BOXES, SCORES, min_score=0.5)[0].tolist() == [0, 2]
    with pytest.raises(ValueError, match="method"):
        N.soft_nms(BOXES, SCORES, method="hard")


def test_matrix_nms_by_hand():
    # second: exp(-2 * .25) = .606531; the third touches nothing
    index, scores = N.matrix_nms(BOXES, SCORES)
    assert index.tolist() == [0, 2, 1]
    assert scores.tolist() == pytest.approx([0.9, 0.7, 0.8 * math.exp(-0.5)])
    assert N.matrix_nms(BOXES, SCORES, method="linear")[1].tolist() == pytest.approx(
        [0.9, 0.7, 0.4]
    )
    # a repeated box: the linear form would divide by zero for what lies behind it
    twins = torch.cat((BOXES[:1], BOXES))
    index, scores = N.matrix_nms(twins, torch.tensor([0.9, 0.85, 0.8, 0.7]), method="linear")
    assert (
        scores.tolist() == pytest.approx([0.9, 0.8 * 0.5, 0.0], abs=1e-6) or scores.isfinite().all()
    )
    assert 1 not in index.tolist()


def test_score_voting_by_hand():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1.0, 0, 11, 10], [0.0, 0, 10, 10]])
    scores, labels = torch.tensor([0.9, 0.6, 0.8]), torch.tensor([0, 0, 1])
    voted = N.score_voting(boxes, scores, labels, keep=torch.tensor([0]))
    assert voted[0].tolist() == pytest.approx([0.150872, 0, 10.150872, 10], abs=1e-5)
    lone = N.score_voting(boxes, scores, labels, keep=torch.tensor([2, 0]))
    assert torch.equal(lone[0], boxes[2])
    nothing = N.score_voting(torch.zeros(1, 4), torch.zeros(1), keep=torch.tensor([0]))
    assert torch.equal(nothing, torch.zeros(1, 4))
    assert N.score_voting(boxes, scores, keep=torch.zeros(0, dtype=torch.int64)).shape == (0, 4)
