"""Kedge inside MMDetection: the same losses and gradients through its own heads, and out again."""

import copy

import pytest
import torch
from parity import real
from parity.cases import mm, needs
from torch import nn

pytestmark = needs("MMDetection")
SIZE = (96, 160)


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """No batch is small enough for MMDetection's own assigner."""
    mm.mmdetection()
    from kedge.interop.mmdetection import matching

    monkeypatch.setattr(matching, "TABLE", -1)


def head(kind: str, assigner: dict | None = None) -> nn.Module:
    peer = mm.mmdetection()
    from mmengine.config import ConfigDict

    torch.manual_seed(5)
    generator = {
        "type": "AnchorGenerator", "octave_base_scale": 4, "scales_per_octave": 3,
        "ratios": [0.5, 1.0, 2.0], "strides": [8, 16, 32],
    }  # fmt: skip
    if kind == "ATSSHead":
        generator |= {"octave_base_scale": 8, "scales_per_octave": 1, "ratios": [1.0]}
    rules = {
        "RetinaHead": {"type": "MaxIoUAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.4,
                       "min_pos_iou": 0, "ignore_iof_thr": -1},
        "RPNHead": {"type": "MaxIoUAssigner", "pos_iou_thr": 0.7, "neg_iou_thr": 0.3,
                    "min_pos_iou": 0.3, "ignore_iof_thr": -1},
        "ATSSHead": {"type": "ATSSAssigner", "topk": 9},
    }  # fmt: skip
    train = {"assigner": assigner or rules[kind], "allowed_border": -1, "pos_weight": -1}
    if kind == "RPNHead":
        train["sampler"] = {"type": "RandomSampler", "num": 64, "pos_fraction": 0.5,
                            "neg_pos_ub": -1, "add_gt_as_proposals": False}  # fmt: skip
    parts = {"num_classes": 4} if kind != "RPNHead" else {}
    if kind == "ATSSHead":
        parts |= {"norm_cfg": None, "reg_decoded_bbox": True}
        parts["loss_bbox"] = {"type": "GIoULoss", "loss_weight": 2.0}
    return getattr(peer.heads, kind)(
        in_channels=8, feat_channels=8, anchor_generator=generator,
        train_cfg=ConfigDict(train), **parts,
    )  # fmt: skip


def batch(seed: int, counts=(30, 0, 4)):
    rng = torch.Generator().manual_seed(seed)
    maps = [torch.randn(len(counts), 8, SIZE[0] // s, SIZE[1] // s, generator=rng)
            for s in (8, 16, 32)]  # fmt: skip
    objects = []
    for count in counts:
        side = 3 * 25 ** torch.rand(count, 2, generator=rng)
        corner = torch.rand(count, 2, generator=rng) * torch.tensor([SIZE[1], SIZE[0]])
        labels = torch.randint(0, 4, (count,), generator=rng)
        objects.append(mm.mmdetection_instances(torch.cat([corner, corner + side], 1), labels))
    return maps, objects


def step(given: nn.Module, maps, objects, padded: bool = False) -> list:
    """Losses and gradients; ``padded``: the images end before the maps do."""
    given.zero_grad()
    torch.manual_seed(2)
    shape = (SIZE[0] - 20, SIZE[1] - 30) if padded else SIZE
    metas = [{"img_shape": shape, "pad_shape": shape, "scale_factor": 1.0} for _ in objects]
    losses = given.loss_by_feat(*given(maps), batch_gt_instances=objects, batch_img_metas=metas)
    parts = [value if isinstance(value, list) else [value] for value in losses.values()]
    values = [value for part in parts for value in part]
    sum(v.sum() for v in values).backward()
    grads = [p.grad.clone() for p in given.parameters() if p.grad is not None]
    return [v.detach() for v in values] + grads


def assert_equal(found, wanted) -> None:
    assert len(found) == len(wanted) > 6
    assert all(torch.equal(a, b) for a, b in zip(found, wanted))


@pytest.mark.parametrize("kind", ["RetinaHead", "RPNHead", "ATSSHead"])
@pytest.mark.parametrize("padded", [False, True])
def test_losses_and_gradients_are_equal_bit_for_bit(kind, padded):
    from kedge.interop.mmdetection import accelerate

    for seed in range(3):
        given = head(kind)
        maps, objects = batch(seed)
        wanted = step(given, maps, objects, padded)
        with accelerate(given) as undo:
            assert "Kedge assigns for MMDetection's" in repr(undo)
            assert_equal(step(given, maps, objects, padded), wanted)
        assert "assign" not in vars(given.assigner)


@pytest.mark.parametrize("data", real.NAMES)
def test_real_images(data, shared_data):
    from kedge.interop.mmdetection import accelerate

    _, targets = real.batch(shared_data, data, SIZE)
    maps, _ = batch(0, (0,) * len(targets))
    objects = [mm.mmdetection_instances(t["boxes"], t["labels"] % 4) for t in targets]
    for kind in ("RetinaHead", "RPNHead"):
        given = head(kind)
        wanted = step(given, maps, objects)
        accelerate(given)
        assert_equal(step(given, maps, objects), wanted)


def test_ssd():
    """Its assigner rescues one of equal anchors and ignores none."""
    from parity.mm_models import batch as images
    from parity.mm_models import detector, losses

    from kedge.interop.mmdetection import accelerate

    given = detector("SingleStageDetector").train()
    for seed in range(3):
        data = images(seed)
        wanted = losses(given, data)
        with accelerate(given) as undo:
            assert "not" not in repr(undo)
            found = losses(given, data)
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_types_of_configurations():
    from kedge.interop.mmdetection import MaxIoUAssigner

    rule = {"type": "MaxIoUAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.4, "min_pos_iou": 0}
    maps, objects = batch(1)
    wanted = step(head("RetinaHead", rule), maps, objects)
    ours = head("RetinaHead", rule | {"type": "kedge.MaxIoUAssigner"})
    assert type(ours.assigner) is MaxIoUAssigner
    assert_equal(step(ours, maps, objects), wanted)
    assert_equal(step(copy.deepcopy(ours), maps, objects), wanted)
    named = {"type": "kedge.Assigner"}
    same = {"name": "max_iou", "low_quality": "rescuer"}
    found = step(head("RetinaHead", named | {"strategy": same}), maps, objects)
    assert_equal(found, wanted)
    atss = step(head("RetinaHead", named | {"strategy": "atss:k=3"}), maps, objects)
    assert all(torch.isfinite(value).all() for value in atss)


def test_the_largest_iou_of_every_prior_is_there_when_asked_for():
    from kedge.interop.mmdetection import MaxIoUAssigner

    peer = mm.mmdetection()
    settings = {"pos_iou_thr": 0.5, "neg_iou_thr": 0.4}
    given = head("RetinaHead")
    priors = torch.cat(given.prior_generator.grid_priors([(12, 20), (6, 10), (3, 5)], device="cpu"))
    _, (objects, *_) = batch(2)
    instances = peer.InstanceData(priors=priors)
    wanted = peer.assigners.MaxIoUAssigner(**settings).assign(instances, objects)
    found = MaxIoUAssigner(**settings).assign(instances, objects)
    assert torch.equal(found.gt_inds, wanted.gt_inds)
    assert torch.equal(found.labels, wanted.labels)
    assert torch.equal(found.max_overlaps, wanted.max_overlaps)
    assert found.num_gts == wanted.num_gts


def test_refusals():
    from kedge.interop.mmdetection import ATSSAssigner, MaxIoUAssigner, StrategyAssigner, accelerate

    with pytest.raises(ValueError, match=r"kedge\.MaxIoUAssigner: other IoU calculators"):
        MaxIoUAssigner(pos_iou_thr=0.5, neg_iou_thr=(0.1, 0.4))
    with pytest.raises(ValueError, match="gt_max_assign_all=False"):
        MaxIoUAssigner(pos_iou_thr=0.5, neg_iou_thr=0.4, gt_max_assign_all=False)
    with pytest.raises(ValueError, match=r"kedge\.ATSSAssigner"):
        ATSSAssigner(topk=9, alpha=0.8)
    with pytest.raises(ValueError, match="'boxes' or 'points'"):
        StrategyAssigner("atss", priors="cells")
    with pytest.raises(ValueError, match="Linear has no assigner that Kedge knows"):
        accelerate(nn.Linear(1, 1))
    given = head("RetinaHead")
    accelerate(given)
    with pytest.raises(ValueError, match="replaced already"):
        accelerate(given)
    maps, objects = batch(0)
    soft = head("RetinaHead", {"type": "kedge.Assigner", "strategy": "yolov5"})
    with pytest.raises(ValueError, match="YOLOv5 gives anchors that answer for several objects"):
        step(soft, maps, objects)
    needing = head("RetinaHead", {"type": "kedge.Assigner", "strategy": "simota"})
    with pytest.raises(ValueError, match="needs predictions"):
        step(needing, maps, objects)


def test_the_recipe_of_the_documents():
    from test_docs import INSIDE, blocks

    from kedge.interop.mmdetection import MaxIoUAssigner

    recipe, _ = (code for code in blocks(INSIDE) if "mmdetection" in code)
    names = {}
    exec(compile(recipe, "<block>", "exec"), names)
    assert names["custom_imports"]["imports"] == ["kedge.interop.mmdetection"]
    found = head("RetinaHead", names["train_cfg"]["assigner"]).assigner
    assert type(found) is MaxIoUAssigner
    maps, objects = batch(0)
    step(head("RetinaHead", names["train_cfg"]["rpn_assigner"]), maps, objects)
