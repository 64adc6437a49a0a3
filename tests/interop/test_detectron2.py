"""Inside Detectron2, with stand-ins of its classes; tests/parity compares with the real ones."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from kedge import ATSS, TAL, DeltaCoder, Grid, Level, MaxIoU
from kedge.anchors.queries.overlap import placed_iou
from kedge.interop import detectron2
from kedge.interop.detectron2 import matching
from kedge.interop.detectron2.setup import setup_of

SHAPES = ((3.0, 2.1), (2.0, 4.3))  # strides
LEVELS = [Level(stride=s, shapes=[(s * w, s * h) for w, h in SHAPES]) for s in (8, 16)]
GRID = Grid((64, 96), LEVELS)


class Listed:
    """Stands in for Detectron2's Boxes."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __len__(self) -> int:
        return len(self.tensor)

    @staticmethod
    def cat(parts: list) -> "Listed":
        return Listed(torch.cat([part.tensor for part in parts]))

    def inside_box(self, size: tuple[int, int], border: int) -> Tensor:
        low = (self.tensor[:, :2] >= -border).all(1)
        return low & (self.tensor[:, 2] < size[1] + border) & (self.tensor[:, 3] < size[0] + border)


class RetinaNet(nn.Module):
    """Stands in for Detectron2's: the same words, matched by torchvision's matcher."""

    num_classes = 4

    def __init__(self, labels: tuple[int, ...] = (0, -1, 1)) -> None:
        super().__init__()
        ends = [-float("inf"), 0.4, 0.5, float("inf")]
        self.anchor_matcher = SimpleNamespace(
            labels=list(labels), thresholds=ends, allow_low_quality_matches=True
        )

    def label_anchors(self, anchors: list, gt_instances: list) -> tuple[list, list]:
        boxes, labels, matched = torch.cat([a.tensor for a in anchors]), [], []
        for found in gt_instances:
            if not len(found):
                labels.append(torch.full((len(boxes),), 4))
                matched.append(torch.zeros_like(boxes))
                continue
            index = Matcher(0.5, 0.4, True)(box_iou(found.gt_boxes.tensor, boxes))
            own = found.gt_classes[index.clamp(min=0)]
            own = torch.where(index == -1, 4, torch.where(index == -2, -1, own))
            labels.append(own)
            matched.append(found.gt_boxes.tensor[index.clamp(min=0)])
        return labels, matched


class RPN(RetinaNet):
    """Stands in for Detectron2's, without its random sample."""

    anchor_boundary_thresh = 0

    def _subsample_labels(self, labels: Tensor) -> Tensor:
        return labels

    def label_and_sample_anchors(self, anchors: list, gt_instances: list) -> tuple[list, list]:
        labels, matched = RetinaNet.label_anchors(self, anchors, gt_instances)
        inside = Listed.cat(anchors).inside_box((64, 96), 0)
        kinds = [torch.where(n == 4, 0, torch.where(n == -1, -1, 1)) for n in labels]
        return [torch.where(inside, kind, -1).to(torch.int8) for kind in kinds], matched


for kind in (RetinaNet, RPN):
    kind.__module__ = "detectron2.stand_in"
sys.modules.setdefault("detectron2.stand_in", ModuleType("detectron2.stand_in"))


class Instances(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.gt_boxes)


def objects(seed: int) -> list[Instances]:
    rng, out = torch.Generator().manual_seed(seed), []
    for count in (20, 0, 3):
        side = 5 * 10 ** torch.rand(count, 2, generator=rng)
        corner = torch.rand(count, 2, generator=rng) * torch.tensor([80.0, 50.0])
        boxes = Listed(torch.cat([corner, corner + side], 1))
        classes = torch.randint(0, 4, (count,), generator=rng)
        out.append(Instances(gt_boxes=boxes, gt_classes=classes, image_size=(64, 96)))
    return out


@pytest.mark.parametrize(
    ("made", "method"), [(RetinaNet, "label_anchors"), (RPN, "label_and_sample_anchors")]
)
def test_labels_and_boxes_are_equal(made, method, monkeypatch):
    monkeypatch.setattr(matching, "TABLE", -1)
    levels = [Listed(part) for part in GRID.boxes().split(list(GRID.anchors_per_level))]
    given = made()
    for seed in range(5):
        labels, matched = getattr(given, method)(levels, objects(seed))
        with detectron2.accelerate(nn.Sequential(given)) as undo:
            assert method in repr(undo)
            ours, found = getattr(given, method)(levels, objects(seed))
        assert method not in vars(given)
        for a, b, one, other in zip(ours, labels, found, matched):
            assert torch.equal(a, b)
            assert torch.equal(one, other)


def test_the_recipe_of_the_documents():
    from test_docs import INSIDE, blocks

    class Model(RetinaNet):
        def forward(self, batch: list) -> dict[str, Tensor]:
            levels = [Listed(part) for part in GRID.boxes().split(list(GRID.anchors_per_level))]
            labels, _ = self.label_anchors(levels, batch)
            return {"loss": torch.ones((), requires_grad=True) * len(labels)}

    recipe, _ = (code for code in blocks(INSIDE) if "interop.detectron2" in code)
    exec(compile(recipe, "<block>", "exec"), {"model": Model(), "batched_inputs": objects(0)})


def test_a_small_batch_is_left_to_detectron2(monkeypatch):
    given = RetinaNet()
    detectron2.accelerate(given)
    monkeypatch.setattr(matching, "rule_of", None)
    levels = [Listed(part) for part in GRID.boxes().split(list(GRID.anchors_per_level))]
    given.label_anchors(levels, objects(0))


def test_refusals():
    with pytest.raises(ValueError, match="Linear holds no RetinaNet and no RPN"):
        detectron2.accelerate(nn.Linear(1, 1))
    with pytest.raises(ValueError, match=r"the matcher labels \[1, 0, -1\]"):
        detectron2.accelerate(RetinaNet(labels=(1, 0, -1)))
    given = RetinaNet()
    detectron2.accelerate(given)
    with pytest.raises(ValueError, match="replaced already"):
        detectron2.accelerate(given)

    class Mine(RetinaNet):
        def label_anchors(self, anchors, gt_instances):
            return [], []

    with pytest.raises(ValueError, match="Mine has a label_anchors that Kedge does not know"):
        detectron2.accelerate(Mine())


# -- the doctor's setup ----------------------------------------------------------------------------


class DefaultAnchorGenerator(nn.Module):
    """Stands in for Detectron2's: the same words and arithmetic."""

    def __init__(self, cells: list, strides: tuple = (8, 16), offset: float = 0.0) -> None:
        super().__init__()
        self.cell_anchors, self.strides, self.offset = BufferList(cells), strides, offset

    def forward(self, features: list) -> list:
        cells, out = [b for _, b in self.cell_anchors.named_buffers()], []
        for feature, stride, base in zip(features, self.strides, cells):
            y, x = ((torch.arange(n) + self.offset) * stride for n in feature.shape[-2:])
            y, x = (part.flatten() for part in torch.meshgrid(y, x, indexing="ij"))
            shift = torch.stack([x, y, x, y], 1)
            out.append(Listed((shift[:, None] + base.to(shift)).reshape(-1, 4)))
        return out


class BufferList(nn.Module):
    """Stands in for Detectron2's."""

    def __init__(self, buffers: list) -> None:
        super().__init__()
        for number, buffer in enumerate(buffers):
            self.register_buffer(str(number), buffer, persistent=False)

    def __len__(self) -> int:
        return len(self._buffers)

    def __iter__(self):
        return iter(self._buffers.values())


class Box2BoxTransform:
    """Stands in for Detectron2's."""

    weights, scale_clamp = (1.0, 1.0, 2.0, 2.0), 4.0


def whole(kind=RetinaNet) -> RetinaNet:
    """A stand-in with all its parts."""
    made = kind()
    half = [torch.tensor(level.shapes) / 2 for level in LEVELS]
    made.anchor_generator = DefaultAnchorGenerator([torch.cat([-h, h], 1) for h in half])
    made.box2box_transform = Box2BoxTransform()
    made.backbone = SimpleNamespace(size_divisibility=32)
    made.max_detections_per_image = 7
    return made


@pytest.mark.parametrize("kind", [RetinaNet, RPN])
def test_the_doctors_setup(kind):
    given = whole(kind)
    found = setup_of(nn.Sequential(given), (60, 90))
    assert found.title == f"Detectron2's {kind.__name__}"
    maps = [torch.zeros(1, 1, 8, 12), torch.zeros(1, 1, 4, 6)]  # of 64 x 96 pixels
    boxes = torch.cat([level.tensor for level in given.anchor_generator(maps)])
    assert torch.equal(found.grid.boxes(), boxes)
    assert found.assign == MaxIoU(positive=0.5, negative=0.4)
    assert found.coder == DeltaCoder(stds=(1, 1, 0.5, 0.5), clamp=(None, 4.0))
    assert (found.most, found.focal) == (7, kind is RetinaNet)
    assert found.at((120, 180)).grid.sizes == ((15, 23), (8, 12))  # maps grow with the input


def test_what_the_doctor_does_not_understand():
    given = whole()
    given.anchor_generator = nn.Identity()
    with pytest.raises(ValueError, match="Identity is not understood: DefaultAnchorGenerator is"):
        setup_of(given, (64, 96))
    given = whole()
    given.box2box_transform = object()
    with pytest.raises(ValueError, match="object is not understood: Box2BoxTransform is"):
        setup_of(given, (64, 96))
    given = whole()
    given.anchor_generator.cell_anchors.get_buffer("0")[0] += 1
    with pytest.raises(ValueError, match="level 0: the shapes of a cell do not share one centre"):
        setup_of(given, (64, 96))


# -- explain ---------------------------------------------------------------------------------------


class Backbone(nn.Module):
    """Two maps of an image."""

    size_divisibility = 32

    def forward(self, pixels: Tensor) -> list[Tensor]:
        return [pixels[:, :1, ::8, ::8], pixels[:, :1, ::16, ::16]]


class Detector(nn.Module):
    """Stands in for a detector of Detectron2, around a RetinaNet or RPN."""

    def __init__(self, kind) -> None:
        super().__init__()
        self.owner, self.backbone = whole(kind), Backbone()
        del self.owner.backbone
        self.pixel_mean, self.pixel_std = torch.full((3, 1, 1), 90.0), torch.full((3, 1, 1), 2.0)

    def forward(self, batched_inputs: list) -> list:
        assert not self.training
        images = torch.stack([image["image"] for image in batched_inputs])
        self.owner.anchor_generator(self.backbone((images - self.pixel_mean) / self.pixel_std))
        return []


def inputs(seed: int) -> list[dict]:
    rng = torch.Generator().manual_seed(seed)
    pixels = [255 * torch.rand(3, 64, 96, generator=rng) for _ in range(3)]
    return [{"image": p, "instances": o} for p, o in zip(pixels, objects(seed))]


@pytest.mark.parametrize("kind", [RetinaNet, RPN])
def test_explain(kind):
    given, batch = Detector(kind).train(), inputs(1)
    found = detectron2.explain(given, batch)
    assert found.rule == MaxIoU(positive=0.5, negative=0.4)
    assert (found.report.objects, found.report.images) == (23, 3)
    torch.testing.assert_close(255 * found.pixels[0], batch[0]["image"].flip(0))
    levels = given.owner.anchor_generator(Backbone()(torch.zeros(3, 3, 64, 96)))
    method = "label_anchors" if kind is RetinaNet else "label_and_sample_anchors"
    labels = torch.stack(getattr(given.owner, method)(levels, objects(1))[0])
    index = found.assignment.dense()
    background = labels == (4 if kind is RetinaNet else 0)
    assert torch.equal(index == -1, background)
    assert torch.equal(index == -2, labels == -1)
    assert given.training
    assert not given.backbone._forward_pre_hooks
    assert not given.owner.anchor_generator._forward_hooks
    assert found.picture(0).size[0] > 0
    assert detectron2.explain(given, batch, strategy=ATSS()).rule == ATSS()
    with pytest.raises(ValueError, match="needs predictions"):
        detectron2.explain(given, batch, strategy=TAL())


# -- learned anchors -------------------------------------------------------------------------------


class Learning(Detector):
    """A stand-in that trains: both losses read the anchors as Detectron2's do."""

    def __init__(self, kind) -> None:
        super().__init__(kind)
        self.owner.box_reg_loss_type = "smooth_l1"
        self.weight = nn.Parameter(torch.zeros(4))

    def forward(self, batched_inputs: list) -> dict[str, Tensor]:
        images = torch.stack([image["image"] for image in batched_inputs])
        anchors, transform = self.anchors(images), self.owner.box2box_transform
        labels, matched = RetinaNet.label_anchors(self.owner, anchors, objects(1))
        boxes = torch.cat([level.tensor for level in anchors])
        front = [(label >= 0) & (label != 4) for label in labels]
        goal = [transform.get_deltas(boxes, part)[rows] for part, rows in zip(matched, front)]
        proposals = transform.apply_deltas(self.weight.expand(len(boxes), 4), boxes)
        box = (self.weight - torch.cat(goal)).abs().sum()
        return {"box": box, "proposals": proposals.sum() + self.weight.sum()}

    def anchors(self, images: Tensor) -> list:
        return self.owner.anchor_generator(self.backbone(images))


def get_deltas(self, src: Tensor, target: Tensor) -> Tensor:
    return DeltaCoder(stds=(1, 1, 0.5, 0.5)).encode(src, target)


Box2BoxTransform.get_deltas = get_deltas
Box2BoxTransform.apply_deltas = lambda self, deltas, boxes: boxes * deltas.exp()


@pytest.mark.parametrize("kind", [RetinaNet, RPN])
def test_learned_anchors(kind):
    given, batch = Learning(kind).train(), inputs(1)
    generator, transform = given.owner.anchor_generator, given.owner.box2box_transform
    peer = generator.cell_anchors
    before, keys = given(batch), set(given.state_dict())
    learned = detectron2.learn_anchors(given, warmup_steps=0)
    assert "(4 shapes)" in repr(learned)
    (shapes,) = learned.parameters()
    assert any(part is shapes for part in given.parameters())
    found = given(batch)
    for name in before:
        torch.testing.assert_close(found[name], before[name])
    for name, taught in (("box", True), ("proposals", False)):
        (grad,) = torch.autograd.grad(found[name], shapes, retain_graph=True, allow_unused=True)
        assert (grad is not None) is taught
        assert grad is None or (torch.isfinite(grad).all() and grad.abs().sum() > 0)
    with torch.no_grad():
        shapes.add_(0.1)
    wanted, values = given(batch), learned.shapes
    with pytest.raises(ValueError, match="learns its anchors already"):
        detectron2.learn_anchors(given)
    learned.finish()
    assert type(generator.cell_anchors) is BufferList
    assert given.owner.box2box_transform is transform
    assert set(given.state_dict()) == keys
    assert not given._forward_pre_hooks
    fresh = Learning(kind)
    fresh.owner.anchor_generator.cell_anchors = BufferList([p.clone() for p in peer])
    for own, cells in zip(fresh.owner.anchor_generator.cell_anchors, values.split([2, 2])):
        own.copy_(torch.cat([-cells, cells], 1) / 2)
    after, same = given(batch), fresh(batch)
    for name in after:
        torch.testing.assert_close(after[name], wanted[name])
        assert torch.equal(after[name], same[name])


def test_an_undo_takes_detectron2s_shapes_back_and_the_warm_up_finds_new_ones():
    given, batch = Learning(RetinaNet).train(), inputs(1)
    owner = given.owner.anchor_generator
    peer, before = owner.cell_anchors, given(batch)
    boxes = torch.cat([o.gt_boxes.tensor for o in objects(1)])
    size = boxes[:, 2:] - boxes[:, :2]  # wherever they stand: shapes are chosen for any place
    room = (torch.tensor([128.0, 96.0]) - size).clamp(min=0)
    corner = room * torch.rand(200, len(size), 2, generator=torch.Generator().manual_seed(0))
    boxes = torch.cat([corner, corner + size], -1).flatten(0, 1)
    with detectron2.learn_anchors(given, warmup_steps=20) as learned:
        (generator,) = learned.generators

        def recall() -> float:
            best = placed_iou(generator.learned((96, 128)), boxes).amax(1)
            return (best >= 0.5).float().mean().item()

        bad = recall()
        for _ in range(20):
            given(batch)
        assert "owner.anchor_generator.cell_anchors.warmup.step" in given.state_dict()
        assert recall() > bad + 0.1
    assert owner.cell_anchors is peer
    after = given(batch)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_refusals_to_learn():
    given = Learning(RetinaNet)
    given.owner.box_reg_loss_type = "giou"
    with pytest.raises(ValueError, match="the box loss is giou: only smooth_l1"):
        detectron2.learn_anchors(given)
    given.owner.box2box_transform = object()
    with pytest.raises(ValueError, match="object is not understood: Box2BoxTransform is"):
        detectron2.learn_anchors(given)
    given = nn.Sequential(RPN())
    with pytest.raises(ValueError, match="has no backbone: give the whole detector"):
        detectron2.learn_anchors(given)


def test_the_other_recipe_of_the_documents(tmp_path, monkeypatch, capsys):
    from test_docs import INSIDE, blocks

    monkeypatch.chdir(tmp_path)
    _, recipe = (code for code in blocks(INSIDE) if "interop.detectron2" in code)
    names = {"model": Learning(RetinaNet).train(), "batched_inputs": inputs(1)}
    exec(compile(recipe, "<block>", "exec"), names)
    assert "MaxIoU" in capsys.readouterr().out
    assert (tmp_path / "matched.png").stat().st_size > 0
    assert names["learned"].shapes.shape == (4, 2)
