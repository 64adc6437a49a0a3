"""FCOS and its heirs: which part has which, what ranks boxes, and what reaches the shapes."""

import pytest
import torch

import kedge
from detectors.scenes import CLASSES, OWN_CODER, POINTS, batch, make, target
from kedge.assign import ATSS
from kedge.coders import DeltaCoder, LTRBCoder
from kedge.detectors import DETECTORS, RetinaNet, detector_class
from kedge.losses import BoxOverlap, DenseLoss, FirstBox, giou_loss
from kedge.nn import depress
from kedge.types import Assignment, Predictions, Targets

IMAGES, TARGETS = batch()
SQUARES = ("atss", "paa")
points = pytest.mark.parametrize("name", POINTS)


@points
def test_training_gives_finite_gradients_for_every_parameter(name):
    model = make(name)
    losses = model(IMAGES, TARGETS)
    sum(losses.values()).backward()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key


@points
def test_images_without_objects_teach_background_only(name):
    none = [target([]), target([])]
    losses = make(name)([torch.rand(3, 64, 96)] * 2, none)
    rest = {key: float(value.detach()) for key, value in losses.items()}
    background = {"classification", "many_classification", "negative"} & rest.keys()
    assert len(background) == (2 if name == "dual" else 1)
    assert all(rest.pop(loss) > 0 for loss in background)
    assert not any(rest.values())


@points
def test_each_has_its_losses(name):
    wanted = {
        "gfl": {"classification", "box"},
        "tood": {"classification", "box"},
        "vfnet": {"classification", "box", "first_box"},
        "autoassign": {"positive", "negative", "centre"},
        "dw": {"positive", "negative", "box"},
        "dual": {"classification", "box", "many_classification", "many_box"},
    }
    losses = make(name)(IMAGES, TARGETS)
    assert losses.keys() == wanted.get(name, {"classification", "box", "quality"})


@points
def test_points_have_no_shapes_and_squares_do(name):
    model = make(name)
    assert (model.shapes is not None) == (name in SQUARES)
    if name in SQUARES:
        assert model.shapes.shapes.tolist() == [[8.0 * s] * 2 for s in (8, 16, 32, 64, 128)]
        return
    with pytest.raises(ValueError, match=f"shapes: {DETECTORS[name]} answers at points"):
        make(name, shapes=[[(8.0, 8.0)]] * 5)
    with pytest.raises(ValueError, match="no shapes to learn"):
        make(name, learn=True)


@pytest.mark.parametrize("name", SQUARES)
def test_the_box_loss_reaches_the_shapes_and_no_other(name):
    model = make(name, learn=True)
    for key, loss in model(IMAGES, TARGETS).items():
        (gradient,) = torch.autograd.grad(
            loss, [model.shapes.log_shapes], retain_graph=True, allow_unused=True
        )
        reached = gradient is not None and float(gradient.abs().sum()) > 0
        assert reached == (key == "box"), key


@pytest.mark.parametrize("name", SQUARES)
def test_several_shapes_of_a_cell(name):
    model = make(name, shapes=[[(8.0 * s, 4.0 * s), (4.0 * s, 8.0 * s)] for s in (1, 2, 4, 8, 16)])
    sum(model(IMAGES, TARGETS).values()).backward()
    assert model.head(torch.rand(1, 3, 64, 96)).shape == (1, 2 * (96 + 24 + 6 + 2 + 1))


@pytest.mark.parametrize("name", OWN_CODER)
def test_a_head_that_works_on_boxes_has_its_own_coder(name):
    with pytest.raises(ValueError, match=r"works on boxes itself .* leave coder= out"):
        make(name, coder=DeltaCoder())


@points
def test_boxes_are_ranked_by_class_and_quality(name):
    model = make(name).eval()
    cells = len(model.grid((64, 96)))
    rows, last = torch.zeros(1, cells, CLASSES), torch.zeros(1, cells, model.coder.code_size)
    branch = {} if model.quality is None else {model.quality: torch.full((1, cells), -9.0)}
    said = Predictions.from_dense(rows, last, model.grid((64, 96)), model.coder, **branch)
    low = torch.tensor(-9.0).sigmoid()
    expected = {None: torch.tensor(0.5), "objectness": 0.5 * low}.get(
        model.quality, (0.5 * low).sqrt()
    )
    assert torch.allclose(model.scores(said), expected)


def test_names_of_detectors_leave_those_of_strategies_alone():
    for name in POINTS:
        made = detector_class(name)
        shown = getattr(kedge, made.__name__)
        collides = made.__name__ in ("FCOS", "ATSS", "PAA", "AutoAssign", "DW", "LADA")
        assert (shown is made) != collides
        assert collides == shown.__module__.startswith("kedge.assign")


def test_atss_on_points_is_atss_on_the_squares_that_stand_for_them():
    packed = Targets.from_list(TARGETS)
    squares, dots = make("atss").grid((64, 96)), make("gfl").grid((64, 96))
    ours, own = ATSS(side=8.0)(dots, packed), ATSS()(squares, packed)
    assert len(ours) > 0
    assert torch.equal(ours.anchor, own.anchor)
    assert torch.equal(ours.target, own.target)
    with pytest.raises(ValueError, match=r"ATSS\.side is in strides and positive"):
        ATSS(side=0)


def test_the_loss_of_first_boxes_by_hand():
    """Two pairs: the first box of one is right (IoU 1), that of the other half as wide (1/2)."""
    grid = make("vfnet").grid((64, 96))
    coder = LTRBCoder(activation="none", normalise=False)
    first = torch.zeros(1, len(grid), 4)
    first[0, 0] = torch.tensor([4.0, 4, 4, 4])
    first[0, 1] = torch.tensor([4.0, 4, 0, 4])
    said = Predictions.from_dense(
        torch.zeros(1, len(grid), 1), torch.rand_like(first), grid, coder, first_codes=first
    )
    boxes = torch.tensor([[0.0, 0, 8, 8], [8.0, 0, 16, 8]])
    packed = Targets.from_list([{"boxes": boxes, "labels": torch.tensor([0, 0])}])
    chosen = Assignment(
        anchor=torch.tensor([0, 1]), target=torch.tensor([0, 1]), num_anchors=len(grid),
        targets=packed,
    )  # fmt: skip
    terms = DenseLoss(box=BoxOverlap(), extra={"first_box": FirstBox(weight=1.5)})(said, chosen)
    # losses 0 and 1/2, weights 1 and 1/2
    assert float(terms.terms["first_box"]) == pytest.approx(1.5 * (0.5 * 0.5) / 1.5)
    assert giou_loss(boxes[:1], boxes[:1]) == 0


# -- RetinaNet with MAL ----------------------------------------------------------------------------


def test_mal_hides_features_in_training_alone_and_as_its_schedule_says():
    def retinanet(**settings):
        torch.manual_seed(0)
        shapes = [[(4.0 * s,) * 2] for s in (8, 16, 32, 64, 128)]
        return RetinaNet(num_classes=CLASSES, shapes=shapes, width=8, depth=1, **settings)

    plain, hiding = retinanet(), retinanet(depression="steps", assign=kedge.MAL())
    images = torch.rand(2, 3, 64, 96)
    for progress, same in ((0.0, True), (0.5, False), (0.99, True)):  # ratios 0, one half, 0
        plain.progress = hiding.progress = progress
        assert torch.equal(plain.head(images).logits, hiding.head(images).logits) == same
    hiding.progress = plain.progress = 0.5
    with torch.no_grad():
        hidden = [depress(x, 0.5) for x in plain.pyramid(plain.backbone(images))]
        assert torch.equal(hiding.head(images).logits, plain.classes(hidden))
        assert torch.equal(plain.eval().head(images).logits, hiding.eval().head(images).logits)
    losses = hiding.train()(IMAGES, TARGETS)
    assert losses.keys() == {"positive", "negative"}
    sum(losses.values()).backward()


def test_the_points_of_the_last_image_sizes_are_remembered():
    model = make("fcos")
    sizes = [(64, 8 * (1 + i)) for i in range(70)]
    grids = [model.grid(size) for size in sizes]
    assert len(model._grids) == 64
    assert model.grid(sizes[-1]) is grids[-1]
    assert torch.equal(model.grid(sizes[0]).boxes(), grids[0].boxes())
