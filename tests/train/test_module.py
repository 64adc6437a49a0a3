"""The training step: which parameters decay, what is learned, what follows the progress."""

import re

import pytest
import torch
from detectors.scenes import Centres

from kedge.detectors import RetinaNet
from kedge.files import read_lines
from kedge.train.config import make_config
from kedge.train.make_detector import make_detector
from kedge.train.module import parameter_groups
from kedge.train.run import train
from kedge.train.saved import load_run


def decaying(detector, config):
    groups = parameter_groups(detector, config)
    names = {id(p): name for name, p in detector.named_parameters()}
    return {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}


def test_only_weights_of_layers_decay():
    config = make_config({"weight_decay": 0.1, "learn_anchors": True, "detector": "retinanet"})
    detector = make_detector(config.model_copy(update={"assign": "autoassign"}), 3)
    decay = decaying(detector, config)
    assert decay["classes.output.weight"] == 0.1
    for name in ("classes.output.bias", "assign.mean", "assign.sigma", "shapes.log_shapes"):
        assert decay[name] == 0
    assert len(decay) == len(list(detector.parameters()))
    norms = [n for n in decay if "tower" in n and n.endswith("1.weight")]
    assert all(decay[name] == 0 for name in norms)


def test_a_pyramid_learns_shapes_that_its_cells_can_hold_unless_told_otherwise(settings):
    """Small objects alone: placed, by default, the finest level has them; annealed, all levels."""
    small = []
    for more in ({}, {"warmup": "annealed"}):
        config = settings(
            detector="ssd", anchors="identical", num_anchors=2, learn_anchors=True, epochs=3,
            warmup_steps=6, **more,
        )  # fmt: skip
        config = config.model_copy(update={"out": config.out / str(len(small))})
        train(config)
        shapes = load_run(config.out).detector.shapes
        assert shapes is not None
        coarse = shapes.shapes[shapes.level_of_shapes() == len(shapes.levels) - 1]
        small.append(coarse.prod(1).sqrt().min().item())
    assert small[0] > small[1]


def test_autoassign_by_name_has_a_prior_of_every_class_and_learns_it(settings):
    config = settings(
        detector="retinanet", assign="autoassign", num_anchors=1, lr_warmup=0, epochs=2, ema=0.0,
        lr=0.05,
    )  # fmt: skip
    train(config)
    learned = load_run(config.out).detector.assign
    assert learned.mean.shape == learned.sigma.shape == (5, 2)
    assert not torch.equal(learned.mean, torch.zeros(5, 2))
    assert not torch.equal(learned.sigma, torch.ones(5, 2))
    fixed = make_detector(make_config({"detector": "retinanet", "assign": "autoassign"}), 4)
    assert fixed.assign.num_classes == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"detector": "retinanet", "stride": 8}, "stride: retinanet has no such setting"),
        ({"detector": "faster_rcnn", "scale_only_bn": True}, "scale_only_bn: faster_rcnn has no"),
        ({"options": "widht=3"}, "yolov2: unknown setting 'widht'; did you mean 'width'?"),
        ({"options": "width=wide"}, "yolov2: width: expected a number, got 'wide'"),
        ({"assign": "tall"}, "no strategy 'tall'; did you mean 'tal'?; there are max_iou,"),
        ({"assign": "tal:kk=3"}, "strategy tal: unknown setting 'kk'; did you mean 'k'?"),
        ({"coder": "delat"}, "no coder 'delat'; did you mean 'delta'?; there are delta,"),
        ({"sample": "ohem:size=x"}, "sampler ohem: size: expected a number, got 'x'"),
        ({"loss": "box=giouu"}, "no box loss 'giouu'"),
        ({"loss": "boxes=giou"}, "loss: unknown setting 'boxes'"),
        ({"selection": "most=0"}, "most 0 must be at least 1"),
        ({"selection": "suppress=nmss"}, "no suppress 'nmss'"),
        ({"stride": 12}, "stride 8, 16 or 32, got 12"),
    ],
)
def test_settings_that_a_detector_has_not_are_named(changes, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        make_detector(make_config(changes), 3)


def test_every_part_can_be_named_in_settings():
    config = make_config(
        {
            "detector": "retinanet",
            "assign": {"name": "tal", "k": 7},
            "coder": {"name": "distribution", "reg_max": 4},
            "sample": "hard_negatives:ratio=2",
            "loss": {"classes": "varifocal", "box": {"name": "distribution", "weight": 0.5}},
            "selection": "score=0.2,suppress=[soft_nms:sigma=0.3],most=7,vote=score_voting",
            "options": {"depth": 1, "width": 16, "norm": False},
        }
    )
    detector = make_detector(config, 3)
    assert (detector.assign.k, detector.coder.reg_max, detector.sample.ratio) == (7, 4, 2)
    assert type(detector.loss.classes).__name__ == "Varifocal"
    assert detector.loss.box.weight == 0.5
    chosen = detector.selection
    assert (chosen.score, chosen.suppress.sigma, chosen.most) == (0.2, 0.3, 7)
    assert chosen.vote is not None
    assert detector.boxes.output.out_channels == 9 * 4 * 5
    images = torch.rand(2, 3, 64, 96)
    truth = [{"boxes": torch.tensor([[8.0, 8, 40, 40]]), "labels": torch.tensor([1])}] * 2
    assert all(torch.isfinite(loss) for loss in detector.train()(images, truth).values())
    detector.eval()(images)


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_tiny_yolov2_predicts_at_any_of_its_strides(stride):
    detector = make_detector(make_config({"stride": stride}), 2)
    assert detector.strides == (stride,)
    assert detector.eval().head(torch.rand(1, 3, 64, 96)).shape == (1, 5 * 6144 // stride**2)


def test_a_detector_without_anchors_trains_saves_and_loads(settings, monkeypatch):
    from kedge import detectors
    from kedge.train import make_detector as module

    def centres(*, num_classes: int) -> Centres:
        return Centres(num_classes)

    monkeypatch.setattr(module, "detector_class", lambda name: centres)
    assert "yolov2" in detectors.DETECTORS
    config = settings()
    result = train(config)
    assert result.finished
    assert result.stations == []
    assert result.levels == [{"stride": 8.0, "shapes": []}]
    assert 0 <= result.scores["AP50"] <= 1
    rows = read_lines(config.out / "metrics.jsonl")
    assert all({"loss_heat", "loss_size"} <= row.keys() for row in rows)
    assert "positives" not in rows[0]
    again = load_run(config.out).detector
    assert isinstance(again, Centres)
    with pytest.raises(ValueError, match="no anchor shapes to learn"):
        train(settings(learn_anchors=True, out=config.out.parent / "other"))


def test_a_detector_without_anchors_is_diagnosed(settings, monkeypatch):
    from kedge.doctor import examine, open_context
    from kedge.train import make_detector as module

    def centres(*, num_classes: int) -> Centres:
        return Centres(num_classes)

    monkeypatch.setattr(module, "detector_class", lambda name: centres)
    config = settings(epochs=1)
    train(config)
    context = open_context(run=config.out)
    assert context.setup is None
    assert isinstance(examine(context), list)


def test_progress_follows_the_run(settings):
    model = RetinaNet(num_classes=2)
    assert model.progress == 0
    assert model.stage.progress == 0
    model.progress = 0.5
    assert model.stage.progress == 0.5
