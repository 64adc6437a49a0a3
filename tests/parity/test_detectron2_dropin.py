"""Kedge inside Detectron2: labels and matched boxes equal through its own methods."""

import pytest
import torch
from parity.cases import boxes, needs, peers, scene

pytestmark = needs("Detectron2")


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """No batch is small enough for Detectron2's own table."""
    peers.detectron2()
    from kedge.interop.detectron2 import matching

    monkeypatch.setattr(matching, "TABLE", -1)


def module(kind: str):
    """The parts of a RetinaNet or an RPN that label anchors."""
    from detectron2.modeling.meta_arch.retinanet import RetinaNet
    from detectron2.modeling.proposal_generator.rpn import RPN

    matcher = peers.detectron2().Matcher
    cls = RetinaNet if kind == "RetinaNet" else RPN
    made = cls.__new__(cls)
    torch.nn.Module.__init__(made)
    made.num_classes, made.anchor_boundary_thresh = 5, 0
    low, high = (0.4, 0.5) if kind == "RetinaNet" else (0.3, 0.7)
    made.anchor_matcher = matcher([low, high], [0, -1, 1], allow_low_quality_matches=True)
    made.batch_size_per_image, made.positive_fraction = 64, 0.5
    return made


def instances(targets, size):
    from detectron2.structures import Boxes, Instances

    out = []
    for image in range(targets.batch_size):
        rows = targets.image == image
        part = Instances(size)
        part.gt_boxes, part.gt_classes = Boxes(targets.boxes[rows]), targets.labels[rows]
        out.append(part)
    return out


@pytest.mark.parametrize("kind", ["RetinaNet", "RPN"])
def test_labels_and_boxes(kind):
    from detectron2.structures import Boxes

    from kedge.interop.detectron2 import accelerate

    grid = boxes()
    levels = [Boxes(part) for part in grid.boxes().split(list(grid.anchors_per_level))]
    method = "label_anchors" if kind == "RetinaNet" else "label_and_sample_anchors"
    for seed in range(10):
        given = module(kind)
        objects = instances(scene(grid, seed)[0], grid.image_size)
        torch.manual_seed(0)
        labels, matched = getattr(given, method)(levels, objects)
        with accelerate(given):
            torch.manual_seed(0)
            ours, found = getattr(given, method)(levels, objects)
        assert method not in vars(given)
        for a, b, one, other in zip(ours, labels, found, matched):
            assert torch.equal(a, b)
            front = (b >= 0) & (b != 5) if kind == "RetinaNet" else b == 1
            assert torch.equal(one[front], other[front])
