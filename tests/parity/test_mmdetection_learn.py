"""Learned anchors in MMDetection's own heads."""

import copy

import pytest
import torch
from parity.cases import mm, needs
from parity.mm_models import batch, detector, losses
from parity.test_setups import built

from kedge.anchors.recognise import recognise

pytestmark = needs("MMDetection")
BOX = {
    "RetinaNet": "loss_bbox",
    "RPN": "loss_rpn_bbox",
    "SingleStageDetector": "loss_bbox",
    "YOLOV3": "loss_wh",
}  # which loss teaches the shapes


@pytest.fixture(autouse=True)
def kernels():
    """Before Kedge's adapter is imported, a stand-in for mmcv's."""
    mm.mmdetection()


def equal(found, wanted) -> bool:
    return all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("kind", BOX)
def test_the_gradient_comes_from_the_box_loss_alone(kind):
    from kedge.interop.mmdetection import learn_anchors

    given, data = detector(kind).train(), batch()
    before = losses(given, data)
    learned = learn_anchors(given, warmup_steps=0)
    assert kind.replace("SingleStageDetector", "SSD")[:3] in repr(learned).replace("YOLOV3", "YOL")
    (shapes,) = learned.parameters()
    assert any(part is shapes for part in given.parameters())
    found = losses(given, data)
    for name, value in found.items():
        torch.testing.assert_close(value, before[name], rtol=1e-4, atol=1e-5)
        if not value.requires_grad:
            continue
        (grad,) = torch.autograd.grad(value, shapes, retain_graph=True, allow_unused=True)
        taught = grad is not None and bool(grad.abs().sum() > 0)
        assert taught is (name == BOX[kind])


@pytest.mark.parametrize("kind", BOX)
def test_after_finish_the_model_is_one_with_these_base_anchors(kind):
    from kedge.interop.mmdetection import learn_anchors

    given, data = detector(kind).train(), batch()
    keys = set(given.state_dict())
    learned = learn_anchors(given, warmup_steps=0)
    with torch.no_grad():
        learned.parameters()[0].add_(0.2 * torch.rand(learned.shapes.shape))
    shapes = learned.shapes
    learned.finish()
    head = given.bbox_head
    base = head.prior_generator.base_anchors
    assert type(base) is list
    sides = torch.cat(base)[:, 2:] - torch.cat(base)[:, :2]
    torch.testing.assert_close(sides, shapes)
    fresh = detector(kind).train()
    fresh.bbox_head.prior_generator.base_anchors = [part.clone() for part in base]
    assert set(given.state_dict()) == keys
    assert equal(losses(given, data), losses(fresh, data))
    values = [v for part in given.modules() for v in vars(part).values()]
    kept = [*given.modules(), *values, head.prior_generator.base_anchors]
    assert not any(type(part).__module__.startswith("kedge") for part in kept)
    ready = given.data_preprocessor(copy.deepcopy(data), False)
    maps = given.eval().extract_feat(ready["inputs"])
    sizes = [m.shape[-2:] for m in maps]
    counts = [h * w * len(part) for (h, w), part in zip(sizes, base)]
    boxes = torch.cat(head.prior_generator.grid_priors(sizes, device="cpu"))
    torch.testing.assert_close(recognise(boxes, counts).shapes, shapes)


@pytest.mark.parametrize("kind", BOX)
def test_the_warm_up_knows_where_in_their_cells_anchors_lie(kind):
    from kedge.interop.mmdetection import learn_anchors

    (cells,) = learn_anchors(detector(kind).train(), warmup_steps=5).generators
    middle = 0.0 if kind in ("RetinaNet", "RPN") else 0.5
    offsets = cells.learned.level_offsets()
    torch.testing.assert_close(offsets, torch.full_like(offsets, middle))


@pytest.mark.parametrize("kind", ["RetinaNet", "RPN"])
def test_undo_takes_everything_back(kind):
    from kedge.interop.mmdetection import accelerate, learn_anchors

    given, data = detector(kind).train(), batch()
    before, head = losses(given, data), given.bbox_head
    base, coder = head.prior_generator.base_anchors, head.bbox_coder
    with accelerate(given), learn_anchors(given, warmup_steps=2):
        losses(given, data)
        copied = copy.deepcopy(given)
        assert equal(losses(copied, data), losses(given, data))
        assert equal(copied.state_dict(), given.state_dict())
        with pytest.raises(ValueError, match="learns its anchors already"):
            learn_anchors(given)
    assert head.prior_generator.base_anchors is base
    assert head.bbox_coder is coder
    assert "assign" not in vars(head.assigner)
    assert not given._forward_pre_hooks
    assert equal(losses(given, data), before)


def test_a_training_moves_the_shapes_to_the_objects():
    from kedge.interop.mmdetection import learn_anchors

    given = detector("RetinaNet").train()
    learned = learn_anchors(given, warmup_steps=30)
    data = batch(counts=(3,))
    data["data_samples"][0].gt_instances.bboxes = torch.tensor(
        [[10.0, 10, 22, 16], [40, 5, 52, 11], [20, 20, 60, 60]]
    )
    for _ in range(31):
        losses(given, data)
    for size in ([12.0, 6.0], [40.0, 40.0]):
        away = (learned.shapes.log() - torch.tensor(size).log()).abs().amax(1)
        assert away.amin() < 0.1
    assert "bbox_head.kedge_anchors.warmup.step" in given.state_dict()
    optimiser = torch.optim.SGD(given.parameters(), lr=1e-2)
    before = learned.shapes
    sum(losses(given, data).values()).backward()
    optimiser.step()
    assert not torch.equal(learned.shapes, before)


def test_refusals():
    from kedge.interop.mmdetection import learn_anchors

    with pytest.raises(ValueError, match="ATSSHead is not understood: known are RetinaHead"):
        learn_anchors(built("atss/atss_r50_fpn_1x_coco.py"))
    given = detector("RetinaNet")
    given.bbox_head.reg_decoded_bbox = True
    with pytest.raises(ValueError, match="the box loss of RetinaHead is on decoded boxes"):
        learn_anchors(given)
    given = detector("RetinaNet")
    given.bbox_head.prior_generator.base_anchors[0][0] += 1
    with pytest.raises(ValueError, match="level 0: the shapes of a cell do not share one centre"):
        learn_anchors(given)
    given.bbox_head.bbox_coder = object()
    with pytest.raises(ValueError, match="object of RetinaHead: known are DeltaXYWHBBoxCoder"):
        learn_anchors(given)
    with pytest.raises(ValueError, match="Linear holds no detector of MMDetection"):
        learn_anchors(torch.nn.Linear(1, 1))


def test_the_recipe_of_the_documents(tmp_path, monkeypatch, capsys):
    from test_docs import INSIDE, blocks

    monkeypatch.chdir(tmp_path)
    _, recipe = (code for code in blocks(INSIDE) if "mmdetection" in code)
    names = {"model": detector("RetinaNet").train(), "data": batch()}
    exec(compile(recipe, "<block>", "exec"), names)
    assert "MaxIoU" in capsys.readouterr().out
    assert (tmp_path / "matched.png").stat().st_size > 0
    assert names["learned"].shapes.shape == (20, 2)
