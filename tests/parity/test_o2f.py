"""OneToFew beside the authors' own code; KEDGE_O2F names a checkout of it."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from parity.cases import CLASSES, images, points, scene
from parity.checkouts import file_of, function_of, needs_checkout

from kedge.assign import OneToFew
from kedge.boxes import iou

CHECKOUT = ("KEDGE_O2F", "o2f_head.py")
pytestmark = needs_checkout(*CHECKOUT)


@pytest.mark.parametrize("rule", [OneToFew(), OneToFew(k=3, alpha=0.5, progress=0.6)], ids=repr)
@pytest.mark.parametrize("seed", range(10))
def test_the_same_points_answer_with_the_same_labels_and_weights(seed, rule):
    grid = points()
    targets, predictions = scene(grid, seed, counts=(6, 0, 1, 14))
    rng = torch.Generator().manual_seed(seed)
    centreness = torch.randn(targets.batch_size, len(grid), generator=rng)
    given = replace(predictions, branches={"centreness": centreness})
    found = rule(grid, targets, given)

    method = function_of(
        file_of(*CHECKOUT), "_get_target_single_o2o", torch=torch,
        bbox_overlaps=lambda a, b: iou(a[:, None], b),
    )  # fmt: skip
    share = rule.first + (rule.last - rule.first) * rule.progress
    head = SimpleNamespace(
        num_classes=CLASSES, poto_alpha=rule.alpha, o2f_topk=rule.k, center_sampling=False,
        soft_weight=rule.weight, max_soft_weight=1.0, epoch=0, ff=lambda _: share,
        bbox_coder=SimpleNamespace(decode=lambda _, boxes: boxes),
    )  # fmt: skip
    shape = (targets.batch_size, len(grid))
    label, soft, weight = torch.full(shape, CLASSES), torch.zeros(shape), torch.zeros(shape)
    label.view(-1)[found.anchor] = found.labels
    soft.view(-1)[found.anchor] = found.quality
    weight.view(-1)[found.anchor] = found.weight
    for number, (boxes, labels, logits, predicted) in enumerate(images(targets, predictions)):
        if len(boxes) == 0:
            assert (label[number] == CLASSES).all()
            continue
        got = method(
            head, boxes, labels, logits, predicted, centreness[number, :, None], None,
            grid.points(), list(grid.anchors_per_level),
        )  # fmt: skip
        assert torch.equal(label[number], got[0])
        torch.testing.assert_close(soft[number], got[2])
        torch.testing.assert_close(weight[number], got[3])
