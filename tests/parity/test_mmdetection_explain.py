"""explain in MMDetection: what its own heads make of a batch."""

import copy

import pytest
import torch
from parity.cases import mm, needs
from parity.mm_models import batch, detector, losses
from parity.test_setups import built

from kedge import ATSS, FCOS, MaxIoU, SimOTA, SSDMatch

pytestmark = needs("MMDetection")


@pytest.fixture(autouse=True)
def kernels():
    """Before Kedge's adapter is imported, a stand-in for mmcv's."""
    mm.mmdetection()


def trained_labels(given, data) -> torch.Tensor:
    """(B, N) by ``get_targets``: 0 and more the class, -1 background, -2 without weight."""
    ready = given.data_preprocessor(copy.deepcopy(data), True)
    head, samples = given.bbox_head, ready["data_samples"]
    with torch.no_grad():
        sizes = [m.shape[-2:] for m in given.eval().extract_feat(ready["inputs"])]
    metas = [sample.metainfo for sample in samples]
    anchors, flags = head.get_anchors(sizes, metas, device="cpu")
    objects = [sample.gt_instances for sample in samples]
    labels, weights, *_ = head.get_targets(anchors, flags, objects, metas)
    labels, weights = torch.cat(labels, 1), torch.cat(weights, 1)
    labels = torch.where(labels == head.num_classes, -1, labels)
    return torch.where(weights == 0, -2, labels)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [("RetinaNet", MaxIoU(low_quality="rescuer")), ("SingleStageDetector", SSDMatch())],
)
def test_the_assignment_is_that_of_training(kind, rule):
    from kedge.interop.mmdetection import explain

    given, data = detector(kind).train(), batch()
    before, kept = losses(given, data), copy.deepcopy(data)
    modes = [part.training for part in given.modules()]
    found = explain(given, data)
    index = found.assignment.dense()
    first = found.assignment.targets.first[:, None]
    labels = found.assignment.targets.labels
    ours = torch.where(index >= 0, labels[(first + index.clamp(min=0)).clamp(max=14)], index)
    assert modes == [part.training for part in given.modules()]
    assert torch.equal(ours, trained_labels(copy.deepcopy(given), data))
    assert (ours == -2).any()
    assert found.rule == rule
    assert (found.report.objects, found.report.images) == (15, 3)
    assert "assign" not in vars(given.bbox_head.assigner)
    assert all(torch.equal(a, b) for a, b in zip(data["inputs"], kept["inputs"]))
    assert data["data_samples"][0].metainfo == kept["data_samples"][0].metainfo
    after = losses(given, data)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_picture_has_the_colours_of_the_image():
    from kedge.interop.mmdetection import explain

    data = batch()
    found = explain(detector("RetinaNet"), data)
    image = data["inputs"][0]
    seen = found.pixels[0, :, : image.shape[1], : image.shape[2]]
    torch.testing.assert_close(255 * seen, image.flip(0).float(), atol=1e-3, rtol=0)
    assert found.picture(0).size[0] > 0


def test_other_heads_and_strategies():
    from kedge.interop.mmdetection import explain

    data = batch()
    assert explain(detector("RetinaNet"), data, strategy=ATSS()).rule == ATSS()
    found = explain(detector("RPN"), data)
    assert found.rule.positive == 0.7
    assert found.assignment.targets.labels.max() > 0
    found = explain(detector("FCOS"), data)
    assert type(found.rule) is FCOS
    assert len(found.assignment) > 0
    for strategy in (None, SimOTA(k=3)):
        found = explain(built("yolox/yolox_tiny_8xb8-300e_coco.py"), data, strategy=strategy)
        assert type(found.rule) is SimOTA
        assert len(found.assignment) > 0


def test_refusals():
    from kedge.interop.mmdetection import explain

    with pytest.raises(ValueError, match="TOODHead reads the epoch of a running training"):
        explain(built("tood/tood_r50_fpn_1x_coco.py"), batch())
    with pytest.raises(ValueError, match="YOLOV3Head is not understood"):
        explain(detector("YOLOV3"), batch())
