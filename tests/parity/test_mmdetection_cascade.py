"""MMDetection's box heads of Cascade R-CNN: outputs, losses, gradients and the boxes that go on."""

from types import SimpleNamespace

import pytest
import torch
from parity.cases import CLASSES, mm, needs

from kedge import Boxes
from kedge.detectors import CascadeRCNN
from kedge.detectors.cascade import next_boxes
from kedge.sample import All, RandomSample
from kedge.types import Targets

pytestmark = needs("MMDetection")
SIZE, WIDTH, HIDDEN = (96, 128), 4, 8


def theirs(stage):
    """MMDetection's head of a stage, as its configuration file makes it."""
    mm.mmdetection()  # makes the import work without compiled kernels
    from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead

    centre = (0.1, 0.05, 0.033)[stage]
    side = (0.2, 0.1, 0.067)[stage]
    return Shared2FCBBoxHead(
        in_channels=WIDTH, fc_out_channels=HIDDEN, roi_feat_size=7, num_classes=CLASSES,
        reg_class_agnostic=True,
        bbox_coder={"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4,
                    "target_stds": [centre, centre, side, side]},
        loss_cls={"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0},
        loss_bbox={"type": "SmoothL1Loss", "beta": 1.0, "loss_weight": 1.0},
    )  # fmt: skip


def scene(stage):
    """Two objects, which come first; boxes around them of IoU .4 to 1; boxes elsewhere."""
    g = torch.Generator().manual_seed(stage)
    objects = torch.tensor([[10.0, 20, 50, 60], [60, 30, 120, 80]])
    near = objects.repeat(12, 1) + torch.randn(24, 4, generator=g) * 5
    corner = torch.rand(16, 2, generator=g) * 60
    far = torch.cat([corner, corner + 10 + torch.rand(16, 2, generator=g) * 20], 1)
    boxes = torch.cat([objects, near, far]).clamp(min=0)
    boxes = torch.minimum(boxes, torch.tensor([128.0, 96, 128, 96]))
    labels = torch.tensor([1, CLASSES - 1])
    return boxes, Targets.from_list([{"boxes": objects, "labels": labels}])


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_stage(stage):
    torch.manual_seed(stage)
    peer = theirs(stage)
    model = CascadeRCNN(num_classes=CLASSES, width=WIDTH, hidden=HIDDEN)
    head = model.regions.heads[stage]
    pairs = {"fc6": peer.shared_fcs[0], "fc7": peer.shared_fcs[1], "classes": peer.fc_cls,
             "codes": peer.fc_reg}  # fmt: skip
    for name, layer in pairs.items():
        with torch.no_grad():
            layer.weight.copy_(torch.randn_like(layer.weight) * 0.2)
        getattr(head.layers, name).load_state_dict(layer.state_dict())
    boxes, targets = scene(stage)
    features = torch.randn(len(boxes), WIDTH, 7, 7, requires_grad=True)
    head.pool, head.sample = lambda maps, rois, image: features, All()
    if stage == 2:  # a third is a third here; the configuration file rounds it
        rounded = type(head.coder)(stds=(0.033, 0.033, 0.067, 0.067))
        assert head.coder.stds == pytest.approx(rounded.stds, rel=0.02)
        head.coder = rounded

    packed = Boxes.from_list([boxes])
    outcome, found = head.learn([], packed, targets, 0.0)
    scores, codes = peer(features)
    torch.testing.assert_close(found.logits, scores)
    torch.testing.assert_close(found.codes, codes)

    chosen = head.assign(packed, targets)
    assert 3 < len(chosen) < len(boxes) - 5
    negative = chosen.is_background().nonzero()[:, 0]
    order = torch.cat([chosen.anchor, negative])
    goals = peer._get_targets_single(
        boxes[chosen.anchor], boxes[negative], chosen.boxes, chosen.labels,
        SimpleNamespace(pos_weight=-1),
    )  # fmt: skip
    rois = torch.cat([torch.zeros(len(boxes), 1), boxes], 1)[order]
    wanted = peer.loss(scores[order], codes[order], rois, *goals)
    weight = (1, 0.5, 0.25)[stage]
    for mine, its in (("classification", "loss_cls"), ("box", "loss_bbox")):
        ours, other = outcome.losses[mine], weight * wanted[its]
        torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-7)
        one = torch.autograd.grad(ours, features, retain_graph=True)
        two = torch.autograd.grad(other, features, retain_graph=True)
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-7)

    itself = torch.zeros(len(boxes), dtype=torch.uint8)
    itself[:2] = 1
    results = {
        "cls_score": scores,
        "rois": torch.cat([torch.zeros(len(boxes), 1), boxes], 1),
        "bbox_pred": codes,
        "bbox_targets": (torch.full((len(boxes),), CLASSES),),
    }
    (after,) = peer.refine_bboxes(
        [SimpleNamespace(pos_is_gt=itself)], results, [{"img_shape": SIZE}]
    )
    ours = next_boxes(found, targets, torch.tensor([SIZE]))
    real = (after.bboxes[:, 2:] > after.bboxes[:, :2]).all(1)  # MMDetection keeps empty boxes
    torch.testing.assert_close(ours.boxes(), after.bboxes[real].detach())
    assert isinstance(model.proposals.sample, RandomSample)
