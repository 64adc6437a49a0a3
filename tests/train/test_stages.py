"""Settings reach the parts of both stages."""

import pytest
import torch

from kedge.assign import ATSS, MaxIoU
from kedge.losses import BoxOverlap, CodeL1, Focal, SoftmaxCrossEntropy
from kedge.sample import OHEM, RandomSample
from kedge.train.config import make_config
from kedge.train.make_detector import make_detector
from kedge.train.stages import region_heads
from kedge.types import Targets


def made(**settings):
    return make_detector(make_config(settings, "test"), 2)


def test_of_two_stages_loss_is_the_firsts_and_selection_the_seconds():
    model = made(detector="faster_rcnn", loss="box=giou", selection="most=7", sample="ohem")
    assert isinstance(model.proposals.loss.box, BoxOverlap)
    assert isinstance(model.proposals.sample, OHEM)
    assert isinstance(model.regions.loss.box, CodeL1)
    assert isinstance(model.regions.sample, RandomSample)
    assert model.regions.selection.most == 7
    assert model.proposals.selections[False].most == 100


def test_regions_are_the_parts_of_the_second():
    text = "assign=[max_iou:positive=0.6,negative=0.5],sample=[ohem:size=9],loss=[box=giou]"
    nested = {"assign": {"name": "max_iou", "positive": 0.6, "negative": 0.5},
              "sample": {"name": "ohem", "size": 9}, "loss": {"box": "giou"}}  # fmt: skip
    for said in (text, nested):
        model = made(detector="faster_rcnn", regions=said)
        assert model.regions.assign == MaxIoU(positive=0.6, negative=0.5)
        assert model.regions.sample == OHEM(size=9)
        assert isinstance(model.regions.loss.box, BoxOverlap)
        assert isinstance(model.regions.loss.classes, SoftmaxCrossEntropy)
        assert isinstance(model.proposals.loss.box, CodeL1)


def test_all_heads_of_a_cascade_get_them_and_keep_what_is_their_own():
    model = made(detector="cascade_rcnn", regions="loss=[box=giou]", selection="score=0.2")
    heads = model.regions.heads
    assert all(isinstance(head.loss.box, BoxOverlap) for head in heads)
    assert [head.loss.box_weight for head in heads] == [1, 0.5, 0.25]
    assert model.regions.selection.score == 0.2


def test_a_detector_on_proposals_has_one_stage():
    model = made(detector="fast_rcnn", assign="atss", loss="box=giou", selection="most=5")
    assert isinstance(model.regions.assign, ATSS)
    assert isinstance(model.regions.loss.box, BoxOverlap)
    assert model.regions.selection.most == 5


IMAGES = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
TARGETS = Targets.from_list(
    [
        {"boxes": torch.tensor([[8.0, 8, 40, 40]]), "labels": torch.tensor([1])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ]
)


@pytest.mark.parametrize("classes", ["softmax", "focal", "cross_entropy"])
@pytest.mark.parametrize(
    "detector",
    ["faster_rcnn", "faster_rcnn_c4", "rfcn", "cascade_rcnn", "refinedet", "ga_rpn",
     "ga_faster_rcnn", "fast_rcnn", "rcnn", "denet"],
)  # fmt: skip
def test_a_stage_has_as_many_outputs_as_its_loss_reads(detector, classes):
    model = made(detector=detector, loss=f"classes={classes}")
    losses = model.losses(IMAGES, TARGETS).losses
    assert all(torch.isfinite(loss) for loss in losses.values())
    learned = next(loss for name, loss in losses.items() if name.endswith("classification"))
    assert learned > 0
    found = model.eval().detect(IMAGES)
    assert (found.labels < 2).all()


@pytest.mark.parametrize("detector", ["faster_rcnn", "cascade_rcnn", "refinedet"])
def test_a_second_stage_refuses_a_loss_that_reads_other_outputs(detector):
    with pytest.raises(ValueError, match="regions: loss: classes=focal does not read the outputs"):
        made(detector=detector, regions="loss=[classes=focal]")
    model = made(detector=detector)
    head = region_heads(model)[0]
    head.loss.classes = Focal()  # swapped after construction
    with pytest.raises(ValueError, match="gives 3 class outputs for 2 classes, which the loss"):
        model.losses(IMAGES, TARGETS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"detector": "retinanet", "regions": "sample=ohem"}, "regions: retinanet has no second"),
        ({"detector": "fast_rcnn", "regions": "sample=ohem"}, "regions: fast_rcnn has no second"),
        ({"detector": "faster_rcnn", "regions": "samples=ohem"}, "did you mean 'sample'"),
        ({"detector": "sliding_window", "coder": "delta"}, "coder: sliding_window has no such"),
        ({"detector": "rcnn", "options": "source=none-such"}, "no source 'none-such'"),
        ({"detector": "rfcn", "backbone": "resnet18"}, "cannot be dilated"),
    ],
)
def test_what_cannot_be_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        made(**settings)
