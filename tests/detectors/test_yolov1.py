"""YOLOv1: a hand case on 2 x 2 cells, and darknet's detection layer in a loop."""

import math

import pytest
import torch

from detectors.scenes import batch, make
from kedge import Grid, Level
from kedge.assign import BestPredictionInCell
from kedge.coders import RootCoder
from kedge.detectors import YOLOv1
from kedge.detectors.stage import Stage
from kedge.detectors.yolov1 import yolov1_loss
from kedge.types import Predictions, Targets


def said(codes, confidence, logits, cells: int) -> Predictions:
    """Two predictors in each of ``cells`` x ``cells`` cells of 16 px."""
    grid = Grid((16 * cells, 16 * cells), [Level(stride=16), Level(stride=16)])
    coder = RootCoder(cells=cells)
    return Predictions.from_dense(
        logits, codes, grid, coder, yolov1_loss().class_scores, confidence=confidence
    )


STAGE = Stage(assign=BestPredictionInCell(), loss=yolov1_loss())


def test_on_paper():
    """2 x 2 cells of a 32 x 32 image. The object of 16 x 8 at (12, 8) lies in the first cell, at
    (.75, .5), and its sides are a half and a quarter of the image's. There the first predictor says
    8 x 8 at (8, 8), IoU 64 / 128; the second 8 x 2 at (12, 8), IoU 16 / 128."""
    codes = torch.zeros(1, 8, 4)
    codes[0, 0] = torch.tensor([0.5, 0.5, 0.5, 0.5])
    codes[0, 4] = torch.tensor([0.75, 0.5, 0.5, 0.25])
    predictions = said(codes, torch.full((1, 8), 0.4), torch.full((1, 8, 1), 0.7), 2)
    objects = Targets.from_list([{"boxes": torch.tensor([[4.0, 4, 20, 12]])}])
    losses, assignment, share = STAGE(predictions, objects)
    assert assignment.anchor.tolist() == [0]
    box = 5 * (0.25**2 + (math.sqrt(0.5) - 0.5) ** 2) / 2
    assert losses["box"].item() == pytest.approx(box, rel=1e-5)
    own, others = (0.5 - 0.4) ** 2 / 2, 7 * 0.5 * 0.4**2 / 2
    assert losses["objectness"].item() == pytest.approx(own + others, rel=1e-5)
    assert losses["classification"].item() == pytest.approx(0.3**2 / 2, rel=1e-5)
    assert share.item() == pytest.approx(others / (own + others + 0.3**2 / 2), rel=1e-5)


def test_where_nothing_overlaps_the_nearest_learns_and_its_confidence_learns_0():
    codes = torch.zeros(1, 8, 4)
    codes[0, 0, 0], codes[0, 4, :2] = -1.0, 0.5  # boxes without area at (-16, 0) and (8, 8)
    predictions = said(codes, torch.full((1, 8), 0.4), torch.zeros(1, 8, 1), 2)
    objects = Targets.from_list([{"boxes": torch.tensor([[10.0, 4, 14, 12]])}])
    losses, assignment, _ = STAGE(predictions, objects)
    assert assignment.anchor.tolist() == [4]
    wanted = (1 + 7 * 0.5) * 0.4**2 / 2
    assert losses["objectness"].item() == pytest.approx(wanted, rel=1e-5)


def darknet(codes, confidence, logits, boxes, labels, cells: int) -> float:
    """The cost of ``src/detection_layer.c`` for one square image, halved: in shares of its side."""
    side, taken = 16 * cells, set()
    cost = 0.5 * float((confidence**2).sum())
    for box, label in zip(boxes / side, labels):
        cx, cy = (box[:2] + box[2:]) / 2
        w, h = box[2:] - box[:2]
        column, row = int(cx * cells), int(cy * cells)
        cell = row * cells + column
        if cell in taken:
            continue
        taken.add(cell)
        found = []
        for n in (cell, cells * cells + cell):
            x, y, rw, rh = codes[n]
            x, y, bw, bh = (x + column) / cells, (y + row) / cells, rw**2, rh**2
            across = min(x + bw / 2, cx + w / 2) - max(x - bw / 2, cx - w / 2)
            down = min(y + bh / 2, cy + h / 2) - max(y - bh / 2, cy - h / 2)
            inside = float(across.clamp(min=0) * down.clamp(min=0))
            iou = inside / float(bw * bh + w * h - inside)
            rmse = math.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (bw - w) ** 2 + (bh - h) ** 2)
            found.append((iou, -rmse, n))
        if max(found)[0] > 0:
            iou, _, n = max(found)
        else:
            iou, _, n = max(found, key=lambda x: x[1])
        goal = torch.tensor([cx * cells - column, cy * cells - row, w.sqrt(), h.sqrt()])
        cost += 5 * float((codes[n] - goal).square().sum())
        cost += float((confidence[n] - iou) ** 2 - 0.5 * confidence[n] ** 2)
        cost += float((logits[cell] - torch.eye(logits.shape[1])[label]).square().sum())
    return cost / 2


@pytest.mark.parametrize("seed", range(20))
def test_equals_darknets_layer(seed):
    random = torch.Generator().manual_seed(seed)
    cells, classes = 4, 3
    codes = torch.rand(32, 4, generator=random) * 1.2 - 0.2
    confidence = torch.rand(32, generator=random) - 0.2
    logits = torch.rand(16, classes, generator=random)
    middle = torch.rand(6, 2, generator=random) * 64
    size = 2 + 40 * torch.rand(6, 2, generator=random) ** 2
    boxes = torch.cat([middle - size / 2, middle + size / 2], 1)
    labels = torch.randint(classes, (6,), generator=random)
    objects = Targets.from_list([{"boxes": boxes, "labels": labels}])
    both = logits.repeat(2, 1)[None]
    losses, assignment, _ = STAGE(said(codes[None], confidence[None], both, cells), objects)
    ours = float(sum(losses.values())) * len(assignment)
    assert ours == pytest.approx(darknet(codes, confidence, logits, boxes, labels, cells), rel=1e-4)


def test_scores_are_linear_and_cut():
    model = make("yolov1")
    predictions = said(
        torch.zeros(1, 8, 4), torch.tensor([[0.5, -1.0, 2.0] + [0.0] * 5]),
        torch.tensor([0.4, 1.5]).expand(1, 8, 2), 2,
    )  # fmt: skip
    assert torch.allclose(
        model.scores(predictions)[:3], torch.tensor([[0.2, 0.5], [0, 0], [0.4, 1]])
    )


def test_the_published_network():
    model = YOLOv1(num_classes=20, backbone="darknet24")
    assert model.strides == (64.0, 64.0)
    assert model.output.conv.out_channels == 2 * 5 + 20
    assert model.shapes is None
    with pytest.raises(ValueError, match="boxes must be at least 1"):
        YOLOv1(num_classes=1, boxes=0)


def test_classes_of_a_cell_are_learned_once():
    model = make("yolov1")
    _, objects = batch()
    found = model.losses(torch.rand(3, 3, 64, 96), Targets.from_list(objects)).assignment
    grid = model.grid((64, 96))
    place = grid.place(found.anchor % len(grid))
    cells = list(zip(found.image.tolist(), place.y.tolist(), place.x.tolist()))
    assert len(set(cells)) == len(cells) == 4
