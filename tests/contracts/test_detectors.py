"""Every strategy with every coder, loss, sampler and suppression that fits, in one detector of
each kind: made with it, or given it afterwards; in training and in evaluation.

``test_every_detector.py`` takes all detectors through the same, part by part. The whole crosses are
slow (``make test-slow``)."""

from dataclasses import replace

import pytest
import torch
from contracts.steps import LIKELIHOODS, TARGETS, first, fresh, look, rule, step
from detectors.scenes import CLASSES, CORE, Centres, make

from kedge.assign import SoftCell
from kedge.assign.by_name import STRATEGIES, strategy
from kedge.coders.by_name import CODERS
from kedge.detectors import Dense
from kedge.losses import BoxOverlap, DenseLoss, Focal, WiseIoULoss, per_element
from kedge.losses.by_name import CLASS_TERMS, box_term, change_loss_
from kedge.sample import All
from kedge.sample.by_name import SAMPLERS
from kedge.select import ScoreVoting, Selection
from kedge.select.by_name import SUPPRESSIONS
from kedge.train.checkpoint import fit_weights
from kedge.types import ClassWeights, Targets

detectors = pytest.mark.parametrize("detector", CORE)
strategies = pytest.mark.parametrize("name", STRATEGIES)
coders = pytest.mark.parametrize("coder", CODERS)


# -- strategies ------------------------------------------------------------------------------------


@pytest.mark.slow
@detectors
@strategies
@coders
def test_a_strategy_trains_and_detects_made_with_or_given_afterwards(detector, name, coder):
    if detector == "faster_rcnn" and name == "autoassign":
        own = strategy({"name": name, "num_classes": 1})  # its first stage knows one class
    else:
        own = rule(name)
    settings = {"coder": CODERS[coder]()}
    made = fresh(detector, assign=own, **settings)
    swapped = fresh(detector, **settings)
    first(swapped).assign = own
    losses = step(made)
    assert losses == step(swapped)
    named = {key.removeprefix("proposal_") for key in losses}
    assert ({"positive", "negative"} <= named) == (name in LIKELIHOODS)
    look(swapped)


@detectors
@pytest.mark.parametrize("name", ["free_anchor", "autoassign", "max_iou", "tal"])
def test_back_and_forth_between_strategies_leaves_nothing_behind(detector, name):
    model = fresh(detector)
    before = step(model)
    keys = set(model.state_dict())
    own = first(model).assign
    first(model).assign = strategy(name)
    step(model)
    first(model).assign = own
    assert step(model) == before
    assert set(model.state_dict()) == keys


@detectors
@pytest.mark.parametrize("name", ["max_iou", *sorted(LIKELIHOODS)])
def test_the_soft_warm_up_overrides_any_strategy(detector, name):
    """Also those that bring their own likelihood."""
    model = fresh(detector, assign=strategy(name))
    targets = Targets.from_list(TARGETS)
    images = torch.rand(3, 3, 64, 96)
    soft = model.losses(images, targets, assign=SoftCell(temperature=2.0))
    assert not any("positive" in key for key in soft.losses)
    assert soft.assignment is not None
    assert len(soft.assignment.weight.unique()) > 2  # shares of the cell's anchors


@detectors
@strategies
def test_without_weight_a_pair_costs_nothing(detector, name):
    model = make(detector, assign=rule(name)) if detector != "faster_rcnn" else fresh(detector)
    if detector == "faster_rcnn":
        first(model).assign = strategy(name)
    targets = Targets.from_list(TARGETS)
    if detector == "faster_rcnn":
        targets = targets.as_one_class()
    said = model.head(torch.rand(3, 3, 64, 96)).detach()
    assert said.anchors is not None
    chosen = first(model).assign(said.anchors, targets, said)
    chosen = replace(chosen, likelihood=None, background_weight=None)
    whole = first(model).loss(said, chosen).terms
    none = first(model).loss(said, replace(chosen, weight=torch.zeros_like(chosen.weight))).terms
    assert none["box"] == 0
    assert len(chosen) > 0
    assert none["box"] < whole["box"]
    half = first(model).loss(said, replace(chosen, quality=chosen.quality / 2)).terms
    assert half["classification"] != whole["classification"]


def test_background_weights_count_or_are_refused():
    model = make("retinanet")
    targets, said = Targets.from_list(TARGETS), model.head(torch.rand(3, 3, 64, 96)).detach()
    said = replace(said, logits=torch.zeros_like(said.logits))
    chosen = model.assign(said.anchors, targets)
    free = chosen.is_background().nonzero()[:2, 0]
    listed = ClassWeights(free, torch.tensor([0, 2]), torch.tensor([0.0, 0.25]))
    plain = model.loss(said, chosen).terms["classification"]
    less = model.loss(said, replace(chosen, background_weight=listed)).terms["classification"]
    logits = said.class_rows[free, listed.label]
    cost = Focal()(logits[:, None], torch.zeros(0).long(), torch.zeros(0), torch.ones(2).bool())
    expected = (cost[:, 0] * (1 - listed.weight)).sum() / len(chosen)
    assert float(plain - less) == pytest.approx(float(expected), rel=1e-3)
    yolo = make("yolov2")
    with pytest.raises(ValueError, match="cannot obey the assignment's background_weight"):
        yolo.loss(yolo.head(torch.rand(3, 3, 64, 96)), replace(
            yolo.assign(yolo.grid((64, 96)), targets), background_weight=listed))  # fmt: skip
    softmax = DenseLoss(classes=CLASS_TERMS["softmax"]())
    wide = replace(said, logits=torch.rand(*said.shape, CLASSES + 1), classes=softmax.class_scores)
    with pytest.raises(ValueError, match="classes compete"):
        softmax(wide, replace(chosen, background_weight=listed))


# -- losses ----------------------------------------------------------------------------------------


@detectors
def test_what_a_loss_is_divided_by_can_be_swapped_for_classes_and_boxes_alike(detector):
    loss, swapped = make(detector), make(detector)
    first(loss).loss = DenseLoss(
        classes=first(loss).loss.classes, box=first(loss).loss.box,
        objectness=first(loss).loss.objectness, normalise=per_element,
    )  # fmt: skip
    change_loss_(first(swapped).loss, {"normalise": "element"})
    assert first(swapped).loss.class_normalise is None
    assert step(loss) == step(swapped)


@pytest.mark.parametrize("detector", ["yolov2", "retinanet"])
@pytest.mark.parametrize("classes", CLASS_TERMS)
@pytest.mark.parametrize("rescore", [False, True])
def test_every_class_loss_trains_every_dense_detector(detector, classes, rescore):
    loss = make(detector).loss
    change_loss_(loss, {"classes": classes, "rescore": rescore})
    if classes == "ghm":
        loss.class_normalise = per_element
    model = make(detector, loss=loss)
    step(model)
    look(model)


@pytest.mark.slow
@detectors
@pytest.mark.parametrize(
    "box",
    [
        "l1",
        "balanced_l1",
        "squares",
        "ghm",
        "wise_iou",
        "wise_iou:version=1",
        "giou",
        "eiou",
        "bounded_iou",
    ],
)
@coders
def test_every_box_loss_trains_every_detector_with_every_coder(detector, box, coder):
    model = fresh(detector, coder=CODERS[coder]())
    before = step(model)
    first(model).loss.box = box_term(box)
    after = step(model)
    key = "proposal_box" if detector == "faster_rcnn" else "box"
    assert after[key] > 0
    own = type(first(fresh(detector)).loss.box)
    assert after[key] != before[key] or isinstance(box_term(box), own)


def test_the_distribution_loss_goes_with_its_coder_and_says_so():
    model = make("retinanet", coder=CODERS["distribution"]())
    model.loss.box = box_term("distribution")
    step(model)
    look(model)
    model = make("retinanet")
    model.loss.box = box_term("distribution")
    with pytest.raises(ValueError, match="this coder writes 4 plain numbers"):
        step(model)


def test_state_of_a_loss_is_state_of_the_detector(tmp_path):
    """Running counts and means train, are saved, loaded and moved with it."""
    model = make("retinanet")
    model.loss.classes = CLASS_TERMS["ghm"]()
    model.loss.class_normalise = per_element
    model.loss.box = BoxOverlap(WiseIoULoss(reduction="none"))
    before = {key: value.clone() for key, value in model.state_dict().items() if "loss." in key}
    assert set(before) == {"loss.classes.loss.count", "loss.box.loss.mean"}
    step(model)
    moved = {key: model.state_dict()[key] for key in before}
    assert all(not torch.equal(moved[key], value) for key, value in before.items())
    other = make("retinanet")
    other.loss.classes, other.loss.box = (
        CLASS_TERMS["ghm"](),
        BoxOverlap(WiseIoULoss(reduction="none")),
    )
    fit_weights(other, model.state_dict(), tmp_path)
    assert all(torch.equal(other.state_dict()[key], value) for key, value in moved.items())
    look(model)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in moved.items())


# -- samplers and suppressions ---------------------------------------------------------------------


@detectors
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_is_obeyed_in_every_detector(detector, sampler):
    model = make(detector)
    first(model).sample = All()
    whole = step(model)
    size = {} if sampler in ("all", "hard_negatives") else {"size": 8}
    first(model).sample = SAMPLERS[sampler](**size)
    sampled = step(model)
    assert (sampled == whole) == (sampler == "all")
    if not SAMPLERS[sampler]().everything:
        first(model).assign = strategy("free_anchor")
        with pytest.raises(ValueError, match="brings a likelihood over all anchors"):
            step(model)


@pytest.mark.slow
@detectors
@pytest.mark.parametrize("name", SUPPRESSIONS)
@pytest.mark.parametrize(
    ("vote", "top"), [(None, "level"), (ScoreVoting(), "class"), (ScoreVoting(), "image")]
)
def test_every_suppression_goes_with_every_detector(detector, name, vote, top):
    model = make(detector)
    selection = Selection(score=0.0, suppress=SUPPRESSIONS[name](), vote=vote, top=top, most=20)
    if isinstance(model, Dense):
        model.selection = selection
    else:
        model.regions.selection = selection
    found = look(model)
    assert all(0 < len(one["boxes"]) <= 20 for one in found)


# -- coders ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("detector", ["yolov2", "retinanet"])
def test_a_coder_that_the_head_does_not_fit_is_named(detector):
    model = make(detector)
    model.coder = CODERS["distribution"]()
    with pytest.raises(ValueError, match=r"gives 4 numbers a box, DistributionCoder.* reads 68"):
        look(model)


def test_a_loss_that_reads_classes_otherwise_is_named():
    model = make("retinanet")
    model.loss = DenseLoss(classes=CLASS_TERMS["softmax"]())
    with pytest.raises(ValueError, match="gives 3 class outputs for 3 classes, which the loss"):
        look(model)


# -- a detector without anchors --------------------------------------------------------------------


def test_a_detector_without_anchors_keeps_the_contract():
    torch.manual_seed(0)
    model = Centres()
    losses = step(model)
    assert losses.keys() == {"heat", "size"}
    assert all(len(one["boxes"]) for one in look(model))
    assert model.shapes is model.grid((64, 96)) is model.rule is model.first_coder is None
    assert model.head(torch.rand(1, 3, 64, 64)) is None
    with pytest.raises(ValueError, match="no anchors"):
        model.losses(torch.rand(3, 3, 64, 96), Targets.from_list(TARGETS), assign=SoftCell())
