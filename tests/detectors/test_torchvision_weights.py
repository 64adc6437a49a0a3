"""Torchvision's detectors become ours and go back: the same weights find the same objects."""

import json
import re
from functools import partial

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models import detection as peers
from torchvision.models.detection import faster_rcnn, mask_rcnn, retinanet
from torchvision.models.detection import ssd as ssd_module
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

import kedge
from kedge.anchors import Grid, Level
from kedge.detectors import FCOS, SSD, FasterRCNN, RetinaNet, SSDLite
from kedge.detectors.resize import Resize
from kedge.nn import TorchvisionBackbone

K = 5  # labels of torchvision's, background included
SIDES = {"min_size": 64, "max_size": 100}  # sides that are no multiples of 32: steps are measured
BUILDER = {"weights": None, "weights_backbone": None, "num_classes": K}


def pyramid(norm=FrozenBatchNorm2d, fpn_norm=None, **more):
    made = resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, norm_layer=norm, trainable_layers=3, **more
    )
    if fpn_norm is not None:
        channels = [block[0].in_channels for block in made.fpn.inner_blocks]
        made.fpn = type(made.fpn)(channels, 256, made.fpn.extra_blocks, fpn_norm)
    return made


def three_maps(p6_from):
    return pyramid(returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(p6_from, 256))


def retinanet_v1():
    return peers.RetinaNet(three_maps(256), K, topk_candidates=60, **SIDES)


def retinanet_v2():
    head = retinanet.RetinaNetHead(256, 9, K, norm_layer=partial(nn.GroupNorm, 32))
    head.regression_head._loss_type = "giou"
    return peers.RetinaNet(three_maps(512), K, head=head, topk_candidates=60, **SIDES)


FEW = {"rpn_pre_nms_top_n_test": 60, "rpn_post_nms_top_n_test": 40, "box_score_thresh": 0.1}


def faster_v1(labels=K):
    return peers.FasterRCNN(pyramid(), labels, **FEW, **SIDES)


def faster_v2():
    body = pyramid(norm=nn.BatchNorm2d, fpn_norm=nn.BatchNorm2d)
    box_head = faster_rcnn.FastRCNNConvFCHead(
        (256, 7, 7), [256] * 4, [1024], norm_layer=nn.BatchNorm2d
    )
    rpn_head = RPNHead(256, 3, conv_depth=2)
    return peers.FasterRCNN(body, K, rpn_head=rpn_head, box_head=box_head, **FEW, **SIDES)


def mask_v1():
    return peers.MaskRCNN(pyramid(), K, **FEW, **SIDES)


def mobilenet_320():
    return peers.fasterrcnn_mobilenet_v3_large_320_fpn(**BUILDER, **FEW, min_size=96, max_size=160)


def fcos():
    return peers.FCOS(three_maps(256), K, topk_candidates=60, **SIDES)


def ssd():
    model = peers.ssd300_vgg16(**BUILDER)
    model.topk_candidates = 40
    return model


def ssdlite():
    model = peers.ssdlite320_mobilenet_v3_large(**BUILDER)
    model.topk_candidates = 40
    return model


MODELS = {
    "retinanet": (RetinaNet, retinanet_v1, 0),
    "retinanet v2": (RetinaNet, retinanet_v2, 0),
    "faster": (FasterRCNN, faster_v1, 1),
    "faster v2": (FasterRCNN, faster_v2, 1),
    "mask": (FasterRCNN, mask_v1, 1),
    "mobilenet 320": (FasterRCNN, mobilenet_320, 1),
    "fcos": (FCOS, fcos, 0),
    "ssd": (SSD, ssd, 1),
    "ssdlite": (SSDLite, ssdlite, 1),
}


OUTPUT = re.compile(
    r"(cls_logits|bbox_reg|bbox_pred|cls_score|bbox_ctrness|module_list\.\d(\.1)?)$"
)


def shaken(model):
    """Random statistics for batch norms, and outputs of about one, so that no two scores are alike
    and boxes keep to a size."""
    g = torch.Generator().manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, (nn.BatchNorm2d, FrozenBatchNorm2d)):
            count = len(layer.running_mean)
            layer.running_mean.copy_(torch.randn(count, generator=g) * 0.1)
            layer.running_var.copy_(torch.rand(count, generator=g) + 0.5)
    if isinstance(model, ssd_module.SSD):
        settle(model)
    for name, layer in model.named_modules():
        if OUTPUT.search(name) and isinstance(layer, (nn.Conv2d, nn.Linear)):
            boxes = "bbox_reg" in name or "bbox_pred" in name or "regression" in name
            gentle = boxes or name.startswith("rpn")  # a sigmoid that is 1 gives equal scores
            nn.init.zeros_(layer.bias)
            layer.register_forward_hook(partial(scale_once, 0.3 if gentle else 1.5))
    with torch.no_grad():
        model.eval()(pictures())
        if isinstance(model, peers.FCOS):
            model.head.regression_head.bbox_reg.bias.add_(2)  # distances, in strides
    for layer in model.modules():
        layer._forward_hooks.clear()
    return model


def settle(model):
    """The statistics of what its norms see: with others ReLU6 makes neighbours' scores equal."""
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in norms:
        layer.train().momentum = 1.0
    with torch.no_grad():
        batch, _ = model.transform(pictures())
        model.head(list(model.backbone(batch.tensors).values()))


def scale_once(wanted, layer, inputs, output):
    """At the first call: weights with which the outputs differ by ``wanted``."""
    if not hasattr(layer, "scaled"):
        layer.scaled = True
        factor = wanted / output.std()
        layer.weight.mul_(factor)
        return output * factor
    return None


@pytest.fixture(scope="module")
def model_of():
    """Torchvision's model and ours of it, made once."""
    made = {}

    def make(name):
        if name not in made:
            torch.manual_seed(0)
            cls, build, first = MODELS[name]
            theirs = shaken(build())
            made[name] = theirs, cls.from_torchvision(theirs), first
        return made[name]

    return make


def pictures():
    g = torch.Generator().manual_seed(3)
    return [torch.rand(3, *size, generator=g) for size in ((96, 150), (120, 80))]


def same_found(expected, found, first=0):
    """Row for row, but for the order of scores that are equal within rounding."""
    for want, got in zip(expected, found, strict=True):
        assert len(got["boxes"]) == len(want["boxes"]) > 5
        torch.testing.assert_close(got["scores"], want["scores"], atol=2e-5, rtol=1e-4)
        boxes = (got["boxes"][:, None] - want["boxes"]).abs().amax(-1) < 5e-3
        scores = (got["scores"][:, None] - want["scores"]).abs() < 1e-4
        same = boxes & scores & (got["labels"][:, None] + first == want["labels"])
        assert same.any(0).all()
        assert same.any(1).all()


@pytest.mark.parametrize(
    "name",  # Mask R-CNN is a Faster R-CNN with a mask, SSD's VGG takes ten times as long
    [pytest.param(n, marks=pytest.mark.slow) if n in ("mask", "ssd") else n for n in MODELS],
)
def test_it_finds_what_torchvision_finds(model_of, name):
    theirs, ours, first = model_of(name)
    with torch.no_grad():
        same_found(theirs(pictures()), ours(pictures()), first)
    assert ours.category_ids == tuple(range(first, K))
    assert not ours.training


@pytest.mark.parametrize("name", MODELS)
def test_weights_go_back(model_of, name):
    theirs, ours, _ = model_of(name)
    back, state = ours.to_torchvision(), theirs.state_dict()
    assert set(state) - set(back) == {key for key in state if "mask_" in key}
    for key, value in back.items():
        if key.startswith("roi_heads.box_predictor.bbox_pred"):
            assert not value[:4].any()  # background's box, which nobody reads
            assert torch.equal(value[4:], state[key][4:])
        else:
            assert torch.equal(value, state[key]), key


@pytest.mark.parametrize("name", ["retinanet v2", "faster v2", "mobilenet 320", "fcos", "ssdlite"])
def test_a_file_gives_it_back(model_of, name, tmp_path):
    """With resizing and thresholds, as they are when it is written."""
    _, ours, _ = model_of(name)
    file = tmp_path / "a.safetensors"
    kedge.save(ours, file)
    again = kedge.load(file)
    with torch.no_grad():
        same_found(ours(pictures()), again(pictures()))
    assert again.resize == ours.resize
    assert again.category_ids == ours.category_ids
    assert again.class_names is None


def test_a_state_dict_has_the_builders_settings():
    torch.manual_seed(0)
    state = shaken(faster_v1()).state_dict()
    ours = FasterRCNN.from_torchvision(state)
    builder = faster_rcnn.FasterRCNN(pyramid(), K)
    wanted = FasterRCNN.from_torchvision(builder)
    assert ours.resize == wanted.resize == Resize(
        short=800, long=1333, multiple=32, fill=(0.485, 0.456, 0.406)
    )  # fmt: skip
    assert ours.regions.selection == wanted.regions.selection
    assert ours.proposals.selections == wanted.proposals.selections
    assert torch.equal(ours.shapes.shapes, wanted.shapes.shapes)
    theirs = faster_rcnn.FasterRCNN(pyramid(), K)
    theirs.load_state_dict(state)
    assert torch.equal(
        ours.to_torchvision()["rpn.head.conv.0.0.weight"], theirs.rpn.head.conv[0][0].weight
    )


@pytest.mark.parametrize(
    ("cls", "build"),
    [
        (RetinaNet, retinanet_v1),
        (RetinaNet, retinanet_v2),
        (FCOS, fcos),
        (SSDLite, ssdlite),
    ],
)
def test_what_a_state_dict_does_not_say_is_the_builders(cls, build):
    """The model of the builder and its state dict alone make the same."""
    model = build()
    model.topk_candidates = 300 if cls is SSDLite else 1000
    model.transform.min_size, model.transform.max_size = (800,), 1333
    known, alone = cls.from_torchvision(model), cls.from_torchvision(model.state_dict())
    assert alone.resize == known.resize
    assert alone.selection == known.selection
    assert (alone.shapes is None) == (known.shapes is None)
    if known.shapes is not None:
        torch.testing.assert_close(alone.shapes.shapes, known.shapes.shapes)


def test_names_of_older_files_are_read():
    torch.manual_seed(0)
    state, old = retinanet_v1().state_dict(), {}
    for key, value in state.items():
        parts = key.split(".")
        if "_head.conv." in key:  # conv.1.0.weight was conv.2.weight
            parts[3:5] = [str(2 * int(parts[3]))]
        elif "fpn.inner" in key or "fpn.layer" in key:
            del parts[4]
        old[".".join(parts)] = value
    assert old.keys() != state.keys()
    back = RetinaNet.from_torchvision(old).to_torchvision()
    assert all(torch.equal(back[key], value) for key, value in state.items())
    faster = faster_v1().state_dict()
    older = {key.replace("rpn.head.conv.0.0", "rpn.head.conv"): v for key, v in faster.items()}
    assert "rpn.head.conv.weight" in older
    assert FasterRCNN.from_torchvision(older).to_torchvision().keys() == faster.keys()


def test_what_does_not_fit_is_one_line_that_names_it():
    state = faster_v1().state_dict()
    fails = pytest.raises(ValueError, match=r"^FasterRCNN\.from_torchvision: ")
    key = "roi_heads.box_head.fc7.bias"

    def said(changed):
        with fails as error:
            FasterRCNN.from_torchvision(changed)
        text = str(error.value)
        assert "\n" not in text
        return text

    assert f"'{key}' is missing" in said({k: v for k, v in state.items() if k != key})
    assert f"'{key}' is (3,), not (1024,)" in said(state | {key: torch.zeros(3)})
    assert "'extra' is unexpected" in said(state | {"extra": torch.zeros(3)})
    inner = "backbone.body.layer2.0.conv1.weight"
    assert f"'{inner}' is missing" in said({k: v for k, v in state.items() if k != inner})
    assert "'rpn.head.bbox_pred.weight' is missing" in said(nn.Linear(2, 2).state_dict())
    assert "'rpn.head.bbox_pred.weight' is missing" in said(retinanet_v1())
    assert "a model of torchvision's, or its state dict" in said({"epoch": 3})
    with pytest.raises(ValueError, match="3 categories for 5 labels, background included"):
        FasterRCNN.from_torchvision(state, categories=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"backbone\.stem.* has no counterpart in torchvision"):
        RetinaNet(num_classes=2, width=16).to_torchvision()
    with pytest.raises(ValueError, match="did not come from torchvision"):
        kedge.save(RetinaNet(num_classes=2, width=16), "a.safetensors")


def test_a_class_below_one_that_torchvision_has_is_none_of_its():
    class Mine(RetinaNet):
        pass

    with pytest.raises(ValueError, match="torchvision has no Mine"):
        Mine.from_torchvision(retinanet_v1())


def test_categories_name_the_labels(model_of):
    names = ["__background__", "cat", "N/A", "dog", "hat"]
    theirs, ours, _ = model_of("faster")
    ours = FasterRCNN.from_torchvision(theirs, categories=names)
    assert ours.class_names == ("cat", "N/A", "dog", "hat")
    picture = pictures()[0]
    with torch.no_grad():
        (want,) = theirs([picture])
    found = ours.predict(picture)
    assert found.names == [names[label] for label in want["labels"].tolist()]
    entries = found.to_coco(7)
    assert [entry["category_id"] for entry in entries] == want["labels"].tolist()
    theirs, _, _ = model_of("retinanet")
    assert RetinaNet.from_torchvision(theirs, categories=names).class_names == tuple(names)


def test_training_is_the_same(model_of):
    """One image: torchvision divides RetinaNet's losses image by image. What it leaves frozen stays
    frozen."""
    theirs, ours, _ = model_of("retinanet v2")
    box = torch.tensor([[20.0, 10, 90, 70], [60, 40, 120, 90]])
    target = {"boxes": box, "labels": torch.tensor([1, 3])}
    modes = theirs.training, ours.training
    theirs.train()
    ours.train()
    try:
        want, got = theirs(pictures()[:1], [dict(target)]), ours(pictures()[:1], [target])
    finally:
        theirs.train(modes[0])
        ours.train(modes[1])
    torch.testing.assert_close(got["classification"], want["classification"], rtol=1e-4, atol=0)
    torch.testing.assert_close(got["box"], want["bbox_regression"], rtol=1e-4, atol=0)
    frozen = {k for k, p in theirs.backbone.body.named_parameters() if not p.requires_grad}
    assert frozen
    own = {k for k, p in ours.backbone.body.named_parameters() if not p.requires_grad}
    assert own == frozen


def test_predict_and_evaluate_take_the_file(tmp_path, capsys):
    from kedge.cli import run
    from kedge.data import toy

    data = toy.write(tmp_path / "toy", train=1, val=2, size=(64, 96))
    names = ["__background__", *toy.CLASSES[::-1], "other"]  # found by name, whatever the order
    torch.manual_seed(0)
    theirs = shaken(faster_v1(len(names)))
    file, rows = tmp_path / "a.safetensors", tmp_path / "found.json"
    ours = FasterRCNN.from_torchvision(theirs, categories=names)
    kedge.save(ours, file)
    picture = tmp_path / "a.png"
    pixels = (pictures()[0] * 255).byte()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(picture)
    words = ["predict", str(file), str(picture), "--json", str(rows), "--min-score", "0.9"]
    assert run(words) == 0
    with torch.no_grad():
        (want,) = theirs([pixels / 255])
    found = json.loads(rows.read_text())
    assert [row["category_id"] for row in found] == want["labels"].tolist()
    scores = tmp_path / "scores.json"
    assert run(["evaluate", str(file), "--data", str(data), "--json", str(scores)]) == 0
    assert "of classes that the data lacks" in capsys.readouterr().err
    assert json.loads(scores.read_text())["classes"] == list(toy.CLASSES)
    assert run(["evaluate", str(file)]) != 0
    assert "a weights file needs --data" in capsys.readouterr().err


# -- the parts ------------------------------------------------------------------------------------


def test_sides_by_hand():
    rule = Resize(short=800, long=1333)
    assert rule.size_of(480, 640) == (800, 1066)  # 640 * 5 / 3 = 1066.7, cut
    assert rule.size_of(400, 1000) == (533, 1333)  # the long side decides: 1.333
    assert rule.size_of(640, 480) == (1066, 800)
    assert Resize(size=(300, 300)).size_of(5, 7) == (300, 300)
    for wrong in ({}, {"short": 3}, {"short": 3, "long": 4, "size": (1, 2)}, {"size": (0, 4)}):
        with pytest.raises(ValueError, match="Resize takes"):
            Resize(**wrong)


def test_what_is_resized_is_padded_with_the_fill():
    rule = Resize(short=20, long=40, multiple=16, fill=(0.1, 0.2, 0.3))
    batch, sizes = rule([torch.ones(3, 10, 10), torch.zeros(3, 5, 12)], smallest=1)
    assert batch.shape == (2, 3, 32, 48)
    assert sizes.tolist() == [[20, 20], [16, 40]]
    torch.testing.assert_close(batch[0, :, :20, :20], torch.ones(3, 20, 20))
    torch.testing.assert_close(batch[0, :, 31, 47], torch.tensor([0.1, 0.2, 0.3]))


@pytest.mark.parametrize("size", [(800, 1088), (96, 160), (608, 1024)])
def test_measured_steps_are_torchvisions(size):
    """800 pixels on 13 cells: steps of 61, where the stride is 64."""
    from torchvision.models.detection.image_list import ImageList

    strides = (8, 16, 32, 64, 128)
    maps = [torch.zeros(1, 1, -(-size[0] // s), -(-size[1] // s)) for s in strides]
    images = ImageList(torch.zeros(1, 3, *size), [size])
    sizes = tuple((4 * s,) for s in strides)
    (want,) = AnchorGenerator(sizes, ((1.0,),) * 5)(images, maps)
    levels = [Level(stride=s, shapes=[(4 * s, 4 * s)], offset=0.0, measured=True) for s in strides]
    grid = Grid(size, levels)
    assert torch.equal(grid.boxes(), want)
    assert grid.level_strides()[:, 0].tolist() == list(strides)
    objects = {"boxes": want[::97] + torch.tensor([1.0, -2, 3, 4])}
    targets = kedge.Targets.from_list([objects])
    pairs = grid.overlapping(targets, 0.5)
    from torchvision.ops import box_iou

    assert len(pairs) == int((box_iou(objects["boxes"], want) >= 0.5).sum()) > 0
    best = grid.best(targets)
    assert best.iou().tolist() == pytest.approx(
        box_iou(objects["boxes"], want).amax(1)[best.target].tolist()
    )


def test_backbones_are_named_by_what_is_known():
    with pytest.raises(ValueError, match="no torchvision backbone 'resnet19'; there are resnet18"):
        TorchvisionBackbone("resnet19", maps=3)
    with pytest.raises(ValueError, match="mobilenet_v3_small has 2 maps, not 3"):
        TorchvisionBackbone("mobilenet_v3_small", maps=3)
    body = TorchvisionBackbone("mobilenet_v3_small", maps=2)
    assert (body.strides, body.channels) == ((32, 32), (96, 576))


def test_equal_strides_read_the_first_map():
    from kedge.nn import RoIPool

    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 900, 900]])
    assert RoIPool((32, 32)).levels(boxes).tolist() == [0, 0]


def _published(build, cls, first):
    torch.manual_seed(0)
    few = FEW if cls is FasterRCNN else {"topk_candidates": 60}
    theirs = shaken(build(weights=None, weights_backbone=None, **few))
    ours = cls.from_torchvision(theirs)
    g = torch.Generator().manual_seed(1)
    images = [torch.rand(3, 300, 480, generator=g)]
    with torch.no_grad():
        want, got = theirs(images), ours(images)
    same_found(want, got, first)
    assert ours.num_classes + first == 91


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "cls", "first"),
    [
        (peers.retinanet_resnet50_fpn, RetinaNet, 0),
        (peers.retinanet_resnet50_fpn_v2, RetinaNet, 0),
        (peers.fasterrcnn_resnet50_fpn, FasterRCNN, 1),
        (peers.fasterrcnn_resnet50_fpn_v2, FasterRCNN, 1),
        (mask_rcnn.maskrcnn_resnet50_fpn, FasterRCNN, 1),
        (peers.fcos_resnet50_fpn, FCOS, 0),
    ],
)
def test_published_models_at_their_published_size(build, cls, first):
    _published(build, cls, first)
