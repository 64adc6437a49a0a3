"""Every detector with each strategy, coder, box loss, sampler and suppression: part by part, where
``test_detectors.py`` crosses them all in one detector of each kind."""

import pytest
from contracts.steps import LIKELIHOODS, classes_of, first, fresh, last, look, rule, step
from detectors.scenes import CORE, OWN_CODER, PROPOSED, SMALL, make

from kedge.assign.by_name import STRATEGIES
from kedge.coders.by_name import CODERS
from kedge.detectors import DETECTORS
from kedge.losses.by_name import box_term
from kedge.sample import All
from kedge.sample.by_name import SAMPLERS
from kedge.select import Selection
from kedge.select.by_name import SUPPRESSIONS

OTHERS = [name for name in SMALL if name not in CORE]
with_anchors = pytest.mark.parametrize("detector", OTHERS)
every = pytest.mark.parametrize("detector", [*OTHERS, *PROPOSED])
WITHOUT_CODES = "sliding_window"  # its boxes are the anchors
READS_BINS = "gfl"  # its box loss reads the bins of a distribution


def with_loss(detector):
    """It, with another strategy where its own brings a likelihood in place of the loss."""
    model = make(detector)
    if detector in LIKELIHOODS:
        model.assign = rule("atss")
    return model


def test_all_detectors_are_here():
    assert {*SMALL, *PROPOSED} == set(DETECTORS)


@with_anchors
def test_every_strategy_trains_it(detector):
    model = fresh(detector)
    for name in STRATEGIES:
        first(model).assign = rule(name, classes_of(model))
        named = {key.removeprefix("proposal_") for key in step(model)}
        assert ({"positive", "negative"} <= named) == (name in LIKELIHOODS), name


@with_anchors
@pytest.mark.parametrize("name", ["max_iou", "atss", "tal", "free_anchor"])
def test_made_with_a_strategy_or_given_it_afterwards(detector, name):
    made, swapped = fresh(detector, assign=rule(name)), fresh(detector)
    first(swapped).assign = rule(name)
    assert step(made) == step(swapped)
    look(swapped)


@with_anchors
def test_every_coder_writes_its_boxes_or_is_refused_by_name(detector):
    if detector == WITHOUT_CODES:
        with pytest.raises(TypeError, match="coder"):
            make(detector, coder=CODERS["delta"]())
        return
    own = type(first(make(detector)).coder)
    for coder in CODERS.values():
        if detector in OWN_CODER and coder() != first(make(detector)).coder:
            with pytest.raises(ValueError, match="works on boxes itself"):
                make(detector, coder=coder())
        elif detector == READS_BINS and coder is not own:
            with pytest.raises(ValueError, match="this coder writes 4 plain numbers"):
                step(make(detector, coder=coder()))
        else:
            model = make(detector, coder=coder())
            step(model)
            look(model)


@every
@pytest.mark.parametrize("box", ["l1", "balanced_l1", "squares", "ghm", "wise_iou", "giou"])
def test_every_box_loss_trains_it(detector, box):
    if detector == WITHOUT_CODES:
        return
    model = with_loss(detector)
    if detector in PROPOSED and box == "squares":  # weighed by the share of the image
        first(model).loss.box = box_term(box)
        with pytest.raises(ValueError, match="whose size these anchors do not know"):
            step(model)
        return
    first(model).loss.box = box_term(box)
    losses = step(model)
    assert losses.get("proposal_box", losses.get("box")) > 0


@every
def test_every_sampler_is_obeyed(detector):
    model = with_loss(detector)
    first(model).sample = All()
    whole = step(model)
    for name, sampler in SAMPLERS.items():
        size = {} if name in ("all", "hard_negatives") else {"size": 4}
        first(model).sample = sampler(**size)
        assert (step(model) == whole) == (name == "all"), name


@every
def test_every_suppression_selects_its_boxes(detector):
    model = make(detector)
    for name, suppress in SUPPRESSIONS.items():
        settings = {"min_score": 0.0} if name == "soft_nms" else {}
        last(model).selection = Selection(score=0.0, suppress=suppress(**settings), most=20)
        assert all(0 < len(one["boxes"]) <= 20 for one in look(model)), name
