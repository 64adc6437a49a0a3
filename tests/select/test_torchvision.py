"""Selection says torchvision's rules: the detections of RetinaNet, FCOS and SSD, box by box."""

from types import SimpleNamespace

import pytest
import torch
from torchvision.models.detection import _utils
from torchvision.models.detection.fcos import FCOS
from torchvision.models.detection.retinanet import RetinaNet
from torchvision.models.detection.ssd import SSD

from kedge import Grid, Level
from kedge.coders import DeltaCoder, LTRBCoder
from kedge.select import NMS, Selection
from kedge.types import Predictions

SIZE, CLASSES = (96, 160), 5
LEVELS = [Level(stride=s, shapes=[(3.0 * s, 2.0 * s), (4.0 * s, 4.0 * s)]) for s in (8, 16, 32)]
GRID = Grid(SIZE, LEVELS)
SIZES = torch.tensor([[96, 160]] * 2)  # torchvision also reports boxes wholly in the padding


def outputs(width: int, seed: int):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, len(GRID), width, generator=g) * 2 - 1
    return logits, torch.randn(2, len(GRID), 4, generator=g) * 0.1


def same(found, expected):
    for one, other in zip(found.to_list(), expected, strict=True):
        assert len(one["boxes"]) == len(other["boxes"]) > 5
        assert torch.equal(one["labels"], other["labels"])
        assert torch.allclose(one["scores"], other["scores"], atol=1e-6)
        assert torch.allclose(one["boxes"], other["boxes"], atol=1e-3)


def split(values):
    return list(values.split(list(GRID.anchors_per_level), 1))


def image_sizes():
    return [tuple(size) for size in SIZES.tolist()]


def theirs(**settings):
    return SimpleNamespace(box_coder=_utils.BoxCoder(weights=(1.0, 1.0, 1.0, 1.0)), **settings)


@pytest.mark.parametrize("seed", range(3))
def test_retinanets_rule(seed):
    logits, codes = outputs(CLASSES, seed)
    rule = theirs(score_thresh=0.3, topk_candidates=40, nms_thresh=0.5, detections_per_img=30)
    head = {"cls_logits": split(logits), "bbox_regression": split(codes)}
    anchors = [list(GRID.boxes().split(list(GRID.anchors_per_level)))] * 2
    expected = RetinaNet.postprocess_detections(rule, head, anchors, image_sizes())
    said = Predictions.from_dense(logits, codes, GRID, DeltaCoder())
    selection = Selection(score=0.3, candidates=40, most=30)
    same(selection(said, said.class_rows.sigmoid(), SIZES), expected)


@pytest.mark.parametrize("seed", range(3))
def test_fcoss_rule(seed):
    points = Grid(SIZE, [Level(stride=s) for s in (8, 16, 32)])
    g = torch.Generator().manual_seed(seed)
    count = list(points.anchors_per_level)
    logits = torch.randn(2, len(points), CLASSES, generator=g) * 2
    codes = torch.rand(2, len(points), 4, generator=g) * 4
    centre = torch.randn(2, len(points), 1, generator=g)
    rule = SimpleNamespace(
        score_thresh=0.2, topk_candidates=30, nms_thresh=0.6, detections_per_img=25,
        box_coder=_utils.BoxLinearCoder(normalize_by_size=True),
    )  # fmt: skip
    head = {
        "cls_logits": list(logits.split(count, 1)),
        "bbox_regression": list(codes.split(count, 1)),
        "bbox_ctrness": list(centre.split(count, 1)),
    }
    anchors = [list(points.boxes().split(count))] * 2
    expected = FCOS.postprocess_detections(rule, head, anchors, image_sizes())
    said = Predictions.from_dense(logits, codes, points, LTRBCoder())
    scores = (logits.sigmoid() * centre.sigmoid()).sqrt().flatten(0, 1)
    selection = Selection(score=0.2, candidates=30, suppress=NMS(threshold=0.6), most=25)
    same(selection(said, scores, SIZES), expected)


@pytest.mark.parametrize("seed", range(3))
def test_ssds_rule(seed):
    logits, codes = outputs(CLASSES + 1, seed)  # background is first there
    rule = SimpleNamespace(
        score_thresh=0.05, topk_candidates=20, nms_thresh=0.45, detections_per_img=40,
        box_coder=_utils.BoxCoder(weights=(10.0, 10.0, 5.0, 5.0)),
    )  # fmt: skip
    head = {"cls_logits": logits, "bbox_regression": codes}
    expected = SSD.postprocess_detections(rule, head, [GRID.boxes()] * 2, image_sizes())
    for one in expected:
        one["labels"] -= 1
    said = Predictions.from_dense(
        logits[..., 1:], codes, GRID, DeltaCoder(stds=(0.1, 0.1, 0.2, 0.2))
    )
    selection = Selection(
        score=0.05, top="class", candidates=20, suppress=NMS(threshold=0.45), most=40
    )
    same(selection(said, logits.softmax(-1)[..., 1:].flatten(0, 1), SIZES), expected)
