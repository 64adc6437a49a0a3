"""Every detector with each strategy, coder, box loss, sampler and suppression: part by part, where
``test_detectors.py`` crosses them all in one detector of each kind."""

import copy
import math

import pytest
import torch
from contracts.steps import (
    IMAGES,
    LIKELIHOODS,
    TARGETS,
    classes_of,
    first,
    fresh,
    last,
    look,
    rule,
    step,
    train_on,
)
from detectors.scenes import (
    CLASSES,
    GUIDED,
    KEYPOINTS,
    OWN_CODER,
    PROPOSED,
    SMALL,
    SPARSE,
    make,
    target,
)

from kedge.assign.by_name import PUBLISHED, STRATEGIES
from kedge.coders.by_name import CODERS
from kedge.detectors import DETECTORS
from kedge.losses import DenseLoss
from kedge.losses.by_name import box_term
from kedge.sample import All
from kedge.sample.by_name import SAMPLERS
from kedge.select import Selection
from kedge.select.by_name import SUPPRESSIONS

SLOW = {  # whose stages are another detector's, too
    *("ga_rpn", "metaanchor", "faster_rcnn_c4", "cascade_rcnn", "rfcn", "ga_faster_rcnn"),
    *("ssdlite", "gfl_tiny", "atss", "paa", "vfnet", "autoassign", "dw", "lada"),
}
with_anchors = pytest.mark.parametrize(
    "detector", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in SMALL]
)
every = pytest.mark.parametrize("detector", [*SMALL, *PROPOSED, *SPARSE])
with_keypoints = pytest.mark.parametrize("detector", [*SMALL, *PROPOSED, *SPARSE, *KEYPOINTS])
WITHOUT_CODES = "sliding_window"  # its boxes are the anchors
ON_A_GRID = {  # rules of cells, and one that looks there for what is alike
    *("best_in_cell", "best_prediction_in_cell", "yolov3", "yolov5", "yolov7", "soft_cell"),
    "ranked",
    *PUBLISHED,
}
LARGE_ONLY = ("ga_rpn",)  # below an IoU of .3 it rescues no object
READS_BINS = ("gfl", "gfl_tiny")  # their box loss reads the bins of a distribution


def with_loss(detector):
    """It, with another strategy where its own brings a likelihood in place of the loss."""
    model = make(detector)
    if detector in LIKELIHOODS:
        model.assign = rule("atss")
    return model


def test_all_detectors_are_here():
    assert {*SMALL, *PROPOSED, *SPARSE, *KEYPOINTS} == set(DETECTORS)


@with_anchors
def test_every_strategy_trains_it(detector):
    model = fresh(detector)
    for name in (*STRATEGIES, *PUBLISHED):
        first(model).assign = rule(name, classes_of(model))
        if detector in GUIDED and name in ON_A_GRID:
            with pytest.raises(ValueError, match=r"Boxes have no cells|needs a Grid"):
                step(model)
            continue
        named = {key.removeprefix("proposal_") for key in step(model)}
        assert ({"positive", "negative"} <= named) == (name in LIKELIHOODS), name


@with_anchors
@pytest.mark.parametrize(
    "name",
    [
        *("tal", "free_anchor", "atss:guarantee=true"),
        *(pytest.param(plain, marks=pytest.mark.slow) for plain in ("max_iou", "atss")),
    ],
)
def test_made_with_a_strategy_or_given_it_afterwards(detector, name):
    made, swapped = fresh(detector, assign=rule(name)), fresh(detector)
    first(swapped).assign = rule(name)
    assert step(made) == step(swapped)
    look(swapped)


@pytest.mark.parametrize("detector", ["yolov2", "yolov3", "retinanet"])
@pytest.mark.parametrize("name", ["best_in_cell", "yolov3"])
@pytest.mark.parametrize("siblings", ["positive", "ignored"])
def test_siblings_of_either_rule_in_detectors_of_shapes(detector, name, siblings):
    spec = f"{name}:siblings={siblings},similar=0.2"
    made, swapped = fresh(detector, assign=rule(spec)), fresh(detector)
    published = step(fresh(detector, assign=rule(name)))
    first(swapped).assign = rule(spec)
    assert step(made) == step(swapped) != published
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
        elif detector in READS_BINS and coder is not own:
            with pytest.raises(ValueError, match="this coder writes 4 plain numbers"):
                step(make(detector, coder=coder()))
        else:
            model = make(detector, coder=coder())
            step(model)
            look(model)


@every
def test_every_object_can_count_the_same_in_its_loss(detector):
    model = with_loss(detector)
    loss = first(model).loss
    assert isinstance(loss, DenseLoss)
    plain = step(copy.deepcopy(model))
    loss.per_object = True
    same = step(model)
    assert same.keys() == plain.keys()
    assert all(math.isfinite(value) for value in same.values())


@every
@pytest.mark.parametrize("box", ["l1", "balanced_l1", "squares", "ghm", "wise_iou", "giou"])
def test_every_box_loss_trains_it(detector, box):
    if detector == WITHOUT_CODES:
        return
    model = with_loss(detector)
    if detector in (*PROPOSED, *SPARSE) and box == "squares":  # weighed by the share of the image
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


@with_keypoints
def test_every_suppression_selects_its_boxes(detector):
    model = make(detector)
    for name, suppress in SUPPRESSIONS.items():
        settings = {"min_score": 0.0} if name == "soft_nms" else {}
        last(model).selection = Selection(score=0.0, suppress=suppress(**settings), most=20)
        assert all(0 < len(one["boxes"]) <= 20 for one in look(model)), name


# -- what may be in an image -----------------------------------------------------------------------


def of_objects(losses):
    """The losses that need an object, together."""
    words = ("box", "positive", "offset", "pull", "push")
    return sum(loss for name, loss in losses.items() if any(word in name for word in words))


@with_keypoints
def test_images_without_objects_teach_background_only(detector):
    losses = train_on(make(detector), [target([])] * 3)
    assert of_objects(losses) == 0
    assert sum(losses.values()) > 0


@with_keypoints
def test_a_crowd_is_no_object(detector):
    crowd = target([[0, 0, 96, 64]], [1], [1])
    losses = train_on(make(detector), [crowd, target([]), crowd])
    assert of_objects(losses) == 0


@with_keypoints
def test_tiny_and_many_objects_do_no_harm(detector):
    g = torch.Generator().manual_seed(0)
    corner = torch.rand(1000, 2, generator=g) * torch.tensor([80.0, 50.0])
    many = torch.cat([corner, corner + 1 + torch.rand(1000, 2, generator=g) * 12], 1)
    tiny = target([[10, 10, 11, 11], [95, 63, 96, 64], [0, 0, 1, 1], [5, 5, 5, 5]])
    dense = target(many.tolist(), [i % CLASSES for i in range(1000)])
    losses = train_on(make(detector), [dense, target([]), tiny])
    assert (of_objects(losses) > 0) == (detector not in (WITHOUT_CODES, *LARGE_ONLY))


@with_keypoints
def test_half_precision_gives_finite_losses_in_float32(detector):
    model = make(detector).train()
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(IMAGES, TARGETS)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()


@with_keypoints
def test_its_state_is_the_detector(detector):
    model, other = make(detector), copy.deepcopy(make(detector))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.01)
    step(model)  # running statistics move
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    for one, same in zip(look(model), look(other)):
        assert all(torch.equal(one[key], same[key]) for key in one)


@with_keypoints
@pytest.mark.parametrize(
    ("images", "targets", "message"),
    [
        (IMAGES, None, "needs targets"),
        (IMAGES, TARGETS[:1], "3 images but 1 target:"),
        ([IMAGES[0], torch.rand(3, 3, 96)], TARGETS[:2], "image 1 has 3 x 96 pixels"),
        ([torch.zeros(3, 64, 64, dtype=torch.uint8)], TARGETS[:1], "image 0: expected a float"),
        (IMAGES, [*TARGETS[:2], target([[0, 0, 9, 9]] * 2, [0, 3])], "image 2, object 1: label"),
    ],
    ids=["no targets", "too few", "too small", "bytes", "label"],
)  # fmt: skip
def test_errors_name_the_image(detector, images, targets, message):
    if detector == "rcnn" and "pixels" in message:
        return  # it cuts regions out of images of any size
    with pytest.raises(ValueError, match=message):
        make(detector).train()(images, targets)


@pytest.mark.parametrize("detector", [name for name in SMALL if make(name).shapes is not None])
def test_learned_shapes_get_a_gradient_and_fixed_ones_none(detector):
    if detector == WITHOUT_CODES or detector in GUIDED:  # no box stands in its shapes
        with pytest.raises(TypeError, match="learn"):
            make(detector, learn=True)
        return
    learning, fixed = make(detector, learn=True), make(detector)
    step(fixed)
    assert fixed.shapes.log_shapes.grad is None
    torch.manual_seed(1)
    losses = learning.train()(IMAGES, TARGETS)
    for name, loss in losses.items():
        (slope,) = torch.autograd.grad(
            loss, learning.shapes.log_shapes, retain_graph=True, allow_unused=True
        )
        first_box = "proposal_box" if hasattr(learning, "proposals") else "box"
        assert (slope is not None and bool(slope.any())) == (name == first_box), name
