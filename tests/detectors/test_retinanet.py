"""RetinaNet against torchvision's: the same outputs on the same anchors cost the same."""

import pytest
import torch
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import box_iou

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.anchors.presets import retinanet_shapes
from kedge.assign.max_iou import MaxIoU
from kedge.coders import DeltaCoder
from kedge.detectors import RetinaNet
from kedge.losses import BoxOverlap, CodeL1, DenseLoss
from kedge.types import Assignment, Predictions, Targets

STRIDES = (8, 16, 32)
LEVELS = [
    Level(stride=s, shapes=a, offset=0.0) for s, a in zip(STRIDES, retinanet_shapes(STRIDES, 1.5))
]
CLASSES = 4


def random_batch(seed, counts):
    g = torch.Generator().manual_seed(seed)
    grid = Grid(image_size=(96, 160), levels=LEVELS)
    logits = torch.randn(len(counts), len(grid), CLASSES, generator=g) - 2
    codes = torch.randn(len(counts), len(grid), 4, generator=g)
    targets = []
    for count in counts:
        corner = torch.rand(count, 2, generator=g) * torch.tensor([130.0, 70.0])
        size = 6 + torch.rand(count, 2, generator=g) * 50
        labels = torch.randint(CLASSES, (count,), generator=g)
        targets.append({"boxes": torch.cat([corner, corner + size], 1), "labels": labels})
    return grid, logits, codes, targets


def torchvisions(grid, logits, codes, target, smooth=None):
    """torchvision's losses of one image, and its number of positives."""
    head = RetinaNetHead(8, 9, CLASSES)
    if smooth is not None:
        head.regression_head._loss_type = smooth
    anchors = grid.boxes()
    matcher = Matcher(0.5, 0.4, allow_low_quality_matches=True)
    matched = matcher(box_iou(target["boxes"], anchors))
    out = {"cls_logits": logits[None], "bbox_regression": codes[None]}
    losses = head.compute_loss([target], out, [anchors], [matched])
    return losses, int((matched >= 0).sum())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_losses_equal_torchvisions(seed, beta):
    counts = [3, 1, 12]
    grid, logits, codes, targets = random_batch(seed, counts)
    packed = Targets.from_list(targets)
    chosen = MaxIoU(positive=0.5, negative=0.4)(grid, packed)
    said = Predictions.from_codes(logits, codes, grid, DeltaCoder())
    ours = DenseLoss(box=CodeL1(beta=beta))(said, chosen).terms
    # torchvision divides per image and averages; ours divides the batch's sums by all positives
    sums, total = {"classification": 0.0, "bbox_regression": 0.0}, 0
    for i, target in enumerate(targets):
        kind = "l1" if beta == 0 else "smooth_l1"
        losses, positive = torchvisions(grid, logits[i], codes[i], target, kind)
        total += positive
        for name, loss in losses.items():
            sums[name] += loss * max(1, positive)
    assert len(chosen) == total > 0
    assert torch.allclose(ours["classification"], sums["classification"] / total, rtol=1e-4)
    assert torch.allclose(ours["box"], sums["bbox_regression"] / total, rtol=1e-4)


def test_quality_is_the_class_target_of_a_pair():
    grid, logits, codes, targets = random_batch(0, [1])
    packed = Targets.from_list(targets)
    said = Predictions.from_codes(torch.zeros_like(logits), codes, grid, DeltaCoder())

    def classification(quality):
        chosen = Assignment(
            anchor=torch.tensor([7]), target=torch.tensor([0]), num_anchors=len(grid),
            targets=packed, quality=torch.tensor([quality]),
        )  # fmt: skip
        return DenseLoss()(said, chosen).terms["classification"].item()

    # at p = 1/2: log 2 / 4 times .25 for a positive, times .75 for a negative
    step = torch.tensor(2.0).log().item() / 4
    negatives = (len(grid) * CLASSES - 1) * 0.75 * step
    assert classification(1.0) == pytest.approx(negatives + 0.25 * step, rel=1e-4)
    assert classification(0.0) == pytest.approx(negatives + 0.75 * step, rel=1e-4)


@pytest.mark.parametrize("box", [CodeL1(), CodeL1(beta=0.11)])
def test_the_gradient_of_the_shapes_is_that_of_the_size_outputs(box):
    grid, logits, codes, targets = random_batch(1, [4, 6])
    packed = Targets.from_list(targets)
    packed = Targets(
        boxes=packed.boxes.double(), labels=packed.labels, image=packed.image, batch_size=2
    )
    chosen = MaxIoU()(grid, packed)
    log_shapes = grid.shapes.double().log().requires_grad_()
    codes = codes.double().requires_grad_()

    def loss(log_shapes, codes):
        learned = grid.with_shapes(log_shapes.exp())
        said = Predictions.from_codes(logits.double(), codes, learned, DeltaCoder())
        return DenseLoss(box=box)(said, chosen).terms["box"]

    to_shapes, to_codes = torch.autograd.grad(loss(log_shapes, codes), (log_shapes, codes))
    place = grid.place(torch.arange(len(grid)))
    row = place.level * 9 + place.shape
    same = torch.zeros_like(to_shapes).index_add_(0, row, to_codes.sum(0)[:, 2:])
    assert torch.allclose(to_shapes, same, atol=1e-12)
    assert to_shapes.abs().sum() > 0


def test_published_anchors_and_prior():
    model = RetinaNet(num_classes=80, backbone="resnet18", width=32)
    grid = model.grid((800, 1344))
    # 9 per cell; torchvision's count for P3 to P7 of this size (P6 and P7 round up)
    assert len(grid) == 9 * (100 * 168 + 50 * 84 + 25 * 42 + 13 * 21 + 7 * 11) == 201_600
    # 32 px at h_over_w 1/2
    assert grid.shapes[0].tolist() == pytest.approx([45.2548, 22.6274], rel=1e-5)
    said = model.eval().head(torch.rand(1, 3, 64, 96))
    assert torch.allclose(said.logits.sigmoid().mean(), torch.tensor(0.01), rtol=0.1)


def test_smooth_l1_by_hand():
    grid, logits, codes, _ = random_batch(0, [1])
    said = Predictions.from_codes(logits, torch.zeros_like(codes), grid, DeltaCoder())
    x1, y1, x2, y2 = grid.boxes()[5].tolist()
    wide = [x1, y1, x2 + (x2 - x1), y2]  # shift 1/2, log 2
    packed = Targets.from_list([{"boxes": torch.tensor([wide]), "labels": torch.tensor([0])}])
    chosen = Assignment(
        anchor=torch.tensor([5]), target=torch.tensor([0]), num_anchors=len(grid), targets=packed
    )
    log2 = torch.tensor(2.0).log().item()
    assert CodeL1()(said, chosen).item() == pytest.approx(0.5 + log2, rel=1e-5)
    smooth = (0.5 - 0.05) + (log2 - 0.05)
    assert CodeL1(beta=0.1)(said, chosen).item() == pytest.approx(smooth, rel=1e-5)
    # the anchor is the left half of the object: IoU = GIoU = 1/2
    assert BoxOverlap()(said, chosen).item() == pytest.approx(0.5, rel=1e-5)


def test_shapes_must_fit_the_levels():
    with pytest.raises(ValueError, match=r"5 levels .* got shapes for 4"):
        RetinaNet(num_classes=1, shapes=[[(8, 8)]] * 4)
    with pytest.raises(ValueError, match=r"equally many shapes; got \[1, 1, 1, 1, 2\]"):
        RetinaNet(num_classes=1, shapes=[[(8, 8)]] * 4 + [[(8, 8)] * 2])
    with pytest.raises(ValueError, match="num_classes must be at least 1"):
        RetinaNet(num_classes=0)
