"""Inside Detectron2, with stand-ins of its classes; tests/parity compares with the real ones."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from kedge import Grid, Level
from kedge.interop import detectron2

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
    monkeypatch.setattr(detectron2, "TABLE", -1)
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

    (recipe,) = (code for code in blocks(INSIDE) if "interop.detectron2" in code)
    exec(compile(recipe, "<block>", "exec"), {"model": Model(), "batched_inputs": objects(0)})


def test_a_small_batch_is_left_to_detectron2(monkeypatch):
    given = RetinaNet()
    detectron2.accelerate(given)
    monkeypatch.setattr(detectron2, "rule_of", None)
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
