"""POTO beside DeFCN's own code; KEDGE_DEFCN names a checkout of it.

Theirs gives an object without a candidate any anchor of the image; objects of 24 px and more have
one.
"""

from types import SimpleNamespace

import pytest
import torch
from parity.cases import CLASSES, images, points, scene
from parity.checkouts import file_of, function_of, needs_checkout
from scipy.optimize import linear_sum_assignment

from kedge.assign import POTO
from kedge.boxes import iou

FOLDER = "playground/detection/coco/poto.res50.fpn.coco.800size.3x_ms"
CHECKOUT = ("KEDGE_DEFCN", f"{FOLDER}/fcos.py")
pytestmark = needs_checkout(*CHECKOUT)


class Boxes:
    """What their code asks of its boxes."""

    def __init__(self, tensor):
        self.tensor = tensor

    def get_centers(self):
        return (self.tensor[:, :2] + self.tensor[:, 2:]) / 2

    def __getitem__(self, rows):
        return Boxes(self.tensor[rows])


class Instances(SimpleNamespace):
    def __len__(self):
        return len(self.gt_classes)


def sides(shifts, boxes):
    """Distances of points to the four sides."""
    return torch.cat([shifts - boxes[..., :2], boxes[..., 2:] - shifts], -1)


def their_labels(grid, predictions, targets, alpha, radius):
    """(B, N) class of every point, -1 for background."""
    method = function_of(
        file_of(*CHECKOUT),
        "get_ground_truth",
        torch=torch,
        Boxes=Boxes,
        linear_sum_assignment=linear_sum_assignment,
        permute_to_N_HWA_K=lambda rows, _: rows,
        pairwise_iou=lambda a, b: iou(a.tensor[:, None], b.tensor),
        get_event_storage=lambda: SimpleNamespace(put_scalar=lambda *_: None),
    )
    transform = SimpleNamespace(apply_deltas=lambda boxes, _: boxes, get_deltas=sides)
    head = SimpleNamespace(
        num_classes=CLASSES, poto_alpha=alpha, center_sampling_radius=radius,
        shift2box_transform=transform, fpn_strides=[level.strides[0] for level in grid.levels],
    )  # fmt: skip
    shifts = list(grid.points().split(list(grid.anchors_per_level)))
    found = [
        Instances(gt_boxes=Boxes(boxes), gt_classes=labels)
        for boxes, labels, *_ in images(targets, predictions)
    ]
    outputs = [predictions.logits.clone()], [predictions.codes]
    classes, _ = method(head, [shifts] * len(found), found, *outputs)
    return torch.where(classes == CLASSES, -1, classes)


@pytest.mark.parametrize(("alpha", "radius"), [(0.8, 1.5), (0.5, 3.0)])
@pytest.mark.parametrize("seed", range(10))
def test_the_same_points_answer(seed, alpha, radius):
    grid = points()
    targets, predictions = scene(grid, seed, counts=(6, 1, 14), side=(24.0, 120.0))
    found = POTO(alpha=alpha, radius=radius)(grid, targets, predictions)
    labels = torch.full((targets.batch_size * len(grid),), -1)
    labels[found.anchor] = found.labels
    expected = their_labels(grid, predictions, targets, alpha, radius)
    assert torch.equal(labels.view_as(expected), expected)
    assert len(found) == len(targets)
