"""Inside torchvision: the same losses and gradients bit for bit, and out again without a trace."""

import copy
import io

import pytest
import torch
from interop.tv_models import MODELS, assert_equal, batch, model, step
from torch import nn
from torchvision.models.detection import RetinaNet

from kedge import ATSS, FCOS, MAL, TAL, AutoAssign, MaxIoU, SimOTA
from kedge.assign.by_name import STRATEGIES
from kedge.interop.torchvision import accelerate, seam
from kedge.interop.torchvision.accelerate import SEAMS


@pytest.fixture
def always(monkeypatch):
    """No batch is small enough for torchvision's own method."""
    for kind in SEAMS:
        monkeypatch.setattr(kind, "table", -1)


@pytest.fixture
def no_table(monkeypatch):
    """torchvision's table may not be made."""

    def refuse(*arguments, **more):
        raise AssertionError("a table of anchors x objects")

    from torchvision.models.detection import retinanet, roi_heads, rpn

    for place in (retinanet, roi_heads, rpn):
        monkeypatch.setattr(place.box_ops, "box_iou", refuse)


@pytest.mark.parametrize("name", MODELS)
def test_losses_and_gradients_are_equal_bit_for_bit(name, always):
    given = model(name)
    for seed in range(3):
        images, targets = batch(seed)
        wanted = step(given, images, targets)
        with accelerate(given):
            found = step(given, images, targets)
        assert_equal(found, wanted)
        assert len(wanted) > 10


@pytest.mark.parametrize("name", ["retinanet", "ssd", "faster_rcnn"])
def test_no_table_is_made(name, always, no_table):
    given = model(name)
    if name == "faster_rcnn":
        given.rpn.box_similarity = None
    accelerate(given)
    step(given, *batch())


def test_a_small_batch_is_left_to_torchvision(monkeypatch):
    given = model("retinanet")
    images, targets = batch()
    accelerate(given)
    monkeypatch.setattr(seam.Seam, "assign", None)
    step(given, images, targets)  # 23 objects x 1,000 anchors


def test_a_batch_without_any_object(always):
    for name in MODELS:
        given, nothing = model(name), batch(0, (0, 0))
        wanted = step(given, *nothing)
        accelerate(given)
        assert_equal(step(given, *nothing), wanted)


def test_ssdlite(always):
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    torch.manual_seed(0)
    given = ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=4, width_mult=0.35
    )
    given.eval()
    given.training = given.transform.training = True  # batch norm as it is: two steps see the same
    wanted = step(given, *batch())
    accelerate(given)
    assert_equal(step(given, *batch()), wanted)


@pytest.mark.parametrize("name", MODELS)
def test_undo_leaves_nothing_behind(name):
    given = model(name)
    before = {n: dict(vars(m)) for n, m in given.named_modules()}
    hooks = {n: len(m._forward_hooks) for n, m in given.named_modules()}
    undo = accelerate(given)
    assert any(vars(m).keys() != before[n].keys() for n, m in given.named_modules())
    undo()
    for n, m in given.named_modules():
        assert vars(m).keys() == before[n].keys()
        assert all(vars(m)[key] is value for key, value in before[n].items())
        assert len(m._forward_hooks) == hooks[n]
    undo()  # a second call does nothing
    accelerate(given)  # and it can be put in again


def test_what_it_says():
    assert repr(accelerate(model("retinanet"))) == (
        "Kedge matches for torchvision's: RetinaNet.compute_loss (MaxIoU)"
    )
    undo = accelerate(model("mask_rcnn"))
    assert repr(undo) == (
        "Kedge matches for torchvision's: RegionProposalNetwork.assign_targets_to_anchors "
        "(MaxIoU), RoIHeads.assign_targets_to_proposals (MaxIoU)"
    )
    undo()
    assert repr(undo) == "Kedge matches for torchvision's: nothing (undone)"


@pytest.mark.parametrize("name", ["retinanet", "fcos", "ssd", "faster_rcnn"])
def test_copies_and_files_match_for_themselves(name, always):
    given = model(name)
    images, targets = batch()
    wanted = step(given, images, targets)
    undo = accelerate(given)
    file = io.BytesIO()
    torch.save(given, file)
    file.seek(0)
    for other in (copy.deepcopy(given), torch.load(file, weights_only=False)):
        seams = [v for m in other.modules() for v in vars(m).values() if isinstance(v, seam.Seam)]
        assert seams
        assert {id(s.module) for s in seams} <= {id(module) for module in other.modules()}
        assert_equal(step(other, images, targets), wanted)
    undo()
    assert_equal(step(other, images, targets), wanted)  # a copy has no part in the undo


def test_averages_and_wrapped_models(always):
    given = model("retinanet")
    images, targets = batch()
    wanted = step(given, images, targets)
    average = torch.optim.swa_utils.AveragedModel(given)
    accelerate(average)  # finds the detector inside
    average.update_parameters(given)
    found = step(average, images, targets)
    assert_equal({k.removeprefix("module."): v for k, v in found.items()}, wanted)
    accelerate(given)
    torch.optim.swa_utils.AveragedModel(given).update_parameters(given)
    assert given.state_dict().keys() == model("retinanet").state_dict().keys()


@pytest.mark.parametrize("name", ["retinanet", "fcos", "ssd", "faster_rcnn"])
def test_autocast_rounds_the_anchors_and_the_labels_are_still_equal(name, always):
    given = model(name)
    images, targets = batch()
    with torch.autocast("cpu", torch.bfloat16):
        wanted = step(given, images, targets)
        accelerate(given)
        found = step(given, images, targets)
    assert_equal(found, wanted)


def test_evaluation_is_not_touched(always):
    for name in ("ssd", "retinanet"):
        given = model(name).eval()
        images, _ = batch()
        with torch.no_grad():
            wanted = given(images)
            accelerate(given)
            found = given(images)
        assert all(torch.equal(a["boxes"], b["boxes"]) for a, b in zip(found, wanted))


# -- refusals --------------------------------------------------------------------------------------


def test_other_models_are_refused():
    with pytest.raises(ValueError, match="Linear holds no RetinaNet, FCOS, SSD or R-CNN"):
        accelerate(nn.Linear(1, 1))


def test_twice_is_refused():
    given = model("faster_rcnn")
    accelerate(given)
    with pytest.raises(ValueError, match="replaced already"):
        accelerate(given)


def test_an_unknown_signature_is_refused_and_nothing_is_replaced(monkeypatch):
    def changed(self, targets, head_outputs, anchors, more): ...

    given = model("retinanet")
    monkeypatch.setattr(RetinaNet, "compute_loss", changed)
    with pytest.raises(ValueError, match=r"RetinaNet.compute_loss of .* is not the one"):
        accelerate(given)
    assert "compute_loss" not in vars(given)


def test_a_method_of_ones_own_is_refused():
    class Mine(RetinaNet):
        def compute_loss(self, targets, head_outputs, anchors):
            return {}

    given = model("retinanet")
    given.__class__ = Mine
    with pytest.raises(ValueError, match="Mine has a compute_loss of its own"):
        accelerate(given)


def test_a_matcher_of_ones_own_is_refused():
    given = model("faster_rcnn")
    given.roi_heads.proposal_matcher = nn.Identity()
    with pytest.raises(ValueError, match="the matcher is a Identity"):
        accelerate(given)
    assert "assign_targets_to_anchors" not in vars(given.rpn)


def test_boxes_without_area_are_refused_in_ssd(always):
    given = model("ssd")
    accelerate(given)
    images, targets = batch()
    targets[2]["boxes"][1, 2] = targets[2]["boxes"][1, 0]
    with pytest.raises(ValueError, match="target 2: box 1 has no width or height"):
        given(images, targets)


# -- other strategies ------------------------------------------------------------------------------

INDEX_ONLY = (
    "max_iou", "ssd", "best_in_cell", "best_prediction_in_cell", "yolov3", "fcos", "centre_region",
    "atss", "uniform", "rfla", "paa", "lada", "ota", "hungarian", "size_iou", "ranked", "poto",
)  # fmt: skip


@pytest.mark.parametrize("name", STRATEGIES)
def test_strategies_in_retinanet(name):
    given = model("retinanet")
    rule = AutoAssign(num_classes=4) if name == "autoassign" else STRATEGIES[name]()
    undo = accelerate(given, strategy=rule)
    if name in INDEX_ONLY:
        found = step(given, *batch())
        assert all(torch.isfinite(value).all() for value in found.values())
    else:
        with pytest.raises(ValueError, match=f"{type(rule).__name__} gives .* RetinaNet has no"):
            step(given, *batch())
    undo()
    with accelerate(given, strategy=rule, loss="kedge"):
        found = step(given, *batch())
    assert all(torch.isfinite(value).all() for value in found.values())
    assert not any("kedge" in name for name, _ in given.named_modules())


def test_kedges_loss_is_torchvisions_for_one_image():
    """Both divide by the positives of the batch, torchvision image by image."""
    for name in ("retinanet", "ssd"):
        given = model(name)
        images, targets = batch(0, (17,))
        wanted = step(given, images, targets)
        with accelerate(given, loss="kedge"):
            found = step(given, images, targets)
        for key in wanted:
            torch.testing.assert_close(found[key], wanted[key], rtol=1e-4, atol=1e-6)


def test_points_outside_their_object_are_refused_in_fcos():
    given = model("fcos")
    with accelerate(given, strategy=FCOS()):
        step(given, *batch())
    with (
        accelerate(given, strategy=MaxIoU()),
        pytest.raises(
            ValueError,
            match=r"MaxIoU gives anchors whose centre is outside .* of torchvision's FCOS has no",
        ),
    ):
        step(given, *batch())
    with accelerate(given, strategy=TAL(), loss="kedge"):
        found = step(given, *batch())
    assert {"classification", "bbox_regression", "bbox_ctrness"} <= found.keys()


def test_a_strategy_of_predictions_is_refused_in_a_proposal_network():
    given = model("faster_rcnn")
    with accelerate(given, strategy=ATSS()):
        step(given, *batch())
    with accelerate(given, strategy=SimOTA()), pytest.raises(ValueError, match="needs predictions"):
        step(given, *batch())
    with pytest.raises(ValueError, match="an R-CNN samples"):
        accelerate(given, loss="kedge")


def test_a_strategy_with_parameters_becomes_part_of_the_model():
    given = model("retinanet")
    undo = accelerate(given, strategy=AutoAssign(num_classes=4), loss="kedge")
    learned = [name for name, _ in given.named_parameters() if name.startswith("kedge_strategy")]
    found = step(given, *batch())
    assert learned
    assert set(learned) <= found.keys()
    undo()
    assert given.state_dict().keys() == model("retinanet").state_dict().keys()


def test_the_loss_is_one_of_two():
    with pytest.raises(ValueError, match="'peer' or 'kedge', got 'mine'"):
        accelerate(model("retinanet"), loss="mine")


def test_a_strategy_that_changes_with_the_training_stays_as_it_is_given():
    given = model("retinanet")
    images, targets = batch()
    losses = []
    for progress in (0.0, 1.0):
        with accelerate(given, strategy=MAL(progress=progress), loss="kedge"):
            losses.append(sum(given(images, targets).values()).detach())
    assert losses[0] != losses[1]
