"""Small models of torchvision's classes, batches for them, and a step of training."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS, KeypointRCNN, MaskRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.faster_rcnn import FasterRCNN
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.models.detection.ssd import SSD
from torchvision.ops import MultiScaleRoIAlign

SIZE = {"min_size": 64, "max_size": 100}


class Maps(nn.Module):
    """Feature maps of stride 8, 16, 32 ..."""

    def __init__(self, levels: int, width: int = 8) -> None:
        super().__init__()
        self.out_channels: int | list[int] = width
        self.first = nn.Conv2d(3, width, 8, stride=8)
        more = [nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in range(levels - 1)]
        self.more = nn.ModuleList(more)

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        maps = [self.first(images).relu()]
        for layer in self.more:
            maps.append(layer(maps[-1]).relu())
        return OrderedDict((str(i), m) for i, m in enumerate(maps))


def retinanet() -> RetinaNet:
    sizes = tuple((s, int(s * 1.26), int(s * 1.59)) for s in (16, 32, 64, 128))
    anchors = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 4)
    return RetinaNet(Maps(4), num_classes=4, anchor_generator=anchors, **SIZE)


def fcos() -> FCOS:
    anchors = AnchorGenerator(((8,), (16,), (32,), (64,)), ((1.0,),) * 4)
    return FCOS(Maps(4, width=32), num_classes=4, anchor_generator=anchors, **SIZE)


def ssd() -> SSD:
    boxes = DefaultBoxGenerator([[2], [2, 3], [2]], steps=[8, 16, 32])
    maps = Maps(3)
    maps.out_channels = [8, 8, 8]
    return SSD(maps, boxes, (96, 64), num_classes=4)


def rcnn_parts() -> dict:
    anchors = AnchorGenerator(((16,), (32,), (64,)), ((0.5, 1.0, 2.0),) * 3)
    pool = MultiScaleRoIAlign(["0", "1", "2"], output_size=3, sampling_ratio=1)
    head = nn.Sequential(nn.Flatten(), nn.Linear(72, 16), nn.ReLU())
    return {
        "rpn_anchor_generator": anchors, "box_roi_pool": pool, "box_head": head,
        "rpn_pre_nms_top_n_train": 100, "rpn_post_nms_top_n_train": 60,
        "rpn_batch_size_per_image": 32, "box_batch_size_per_image": 32, **SIZE,
    }  # fmt: skip


class Box(nn.Module):
    """Classes and boxes of a second stage."""

    def __init__(self) -> None:
        super().__init__()
        self.classes, self.boxes = nn.Linear(16, 4), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.classes(x), self.boxes(x)


def faster_rcnn() -> FasterRCNN:
    return FasterRCNN(Maps(3), box_predictor=Box(), **rcnn_parts())


def mask_rcnn() -> MaskRCNN:
    masks = MaskRCNNPredictor(8, 8, 4)
    head = nn.Conv2d(8, 8, 3, padding=1)
    parts = {"box_predictor": Box(), "mask_head": head, "mask_predictor": masks}
    return MaskRCNN(Maps(3), **parts, **rcnn_parts())


def keypoint_rcnn() -> KeypointRCNN:
    head, points = nn.Conv2d(8, 8, 3, padding=1), KeypointRCNNPredictor(8, 2)
    parts = {"box_predictor": Box(), "keypoint_head": head, "keypoint_predictor": points}
    return KeypointRCNN(Maps(3), **parts, **rcnn_parts())


MODELS = {f.__name__: f for f in (retinanet, fcos, ssd, faster_rcnn, mask_rcnn, keypoint_rcnn)}


def model(name: str) -> nn.Module:
    torch.manual_seed(3)
    return MODELS[name]().train()


def batch(seed: int = 0, counts: tuple[int, ...] = (17, 0, 5, 1)) -> tuple[list, list]:
    """Images that are not square, of several sizes, and objects: one has none, one is a pixel."""
    rng = torch.Generator().manual_seed(seed)
    images, targets = [], []
    for number, count in enumerate(counts):
        height, width = 64, 88 + 8 * (number % 2)
        side = 3 * 20 ** torch.rand(count, 2, generator=rng)
        if count:
            side[0] = 1.0
        room = torch.tensor([width, height]) - side
        corner = torch.rand(count, 2, generator=rng) * room.clamp(min=0)
        boxes = torch.cat([corner, (corner + side).clamp(max=height)], 1)
        boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        labels = torch.randint(1, 4, (count,), generator=rng)
        images.append(torch.rand(3, height, width, generator=rng))
        points = torch.cat([boxes[:, :2], boxes[:, 2:]], 1).view(count, 2, 2)
        seen = torch.ones(count, 2, 1)
        targets.append({
            "boxes": boxes, "labels": labels, "keypoints": torch.cat([points, seen], 2),
            "masks": torch.ones(count, height, width, dtype=torch.uint8),
        })  # fmt: skip
    return images, targets


def step(given: nn.Module, images: list, targets: list) -> dict[str, Tensor]:
    """Losses and gradients of a batch."""
    given.zero_grad()
    torch.manual_seed(11)
    losses = given([i.clone() for i in images], [dict(t) for t in targets])
    sum(losses.values()).backward()
    grads = {n: p.grad for n, p in given.named_parameters() if p.grad is not None}
    return {name: value.detach() for name, value in losses.items()} | {
        name: value.clone() for name, value in grads.items()
    }


def assert_equal(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    """Every loss and every gradient, bit for bit."""
    assert found.keys() == wanted.keys()
    different = [name for name in wanted if not torch.equal(found[name], wanted[name])]
    assert different == []
