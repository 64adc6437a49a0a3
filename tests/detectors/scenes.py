"""Small detectors and a small batch that has everything: two images alike, one empty, a crowd."""

import torch
from torch import nn

from kedge.detectors import (
    GARPN,
    RCNN,
    RFCN,
    SSD,
    YOLOF,
    YOLOX,
    CascadeRCNN,
    CornerNet,
    DeNet,
    ExtremeNet,
    FasterRCNN,
    FasterRCNNC4,
    FastRCNN,
    GAFasterRCNN,
    GARetinaNet,
    GFLTiny,
    Keypoint,
    MetaAnchor,
    RefineDet,
    RetinaNet,
    RTMDet,
    SlidingWindowDetector,
    SSDLite,
    YOLOv1,
    YOLOv2,
    YOLOv3,
    detector_class,
)
from kedge.nn import Tiny
from kedge.proposals import SlidingWindow as Windows
from kedge.types import Detections

CLASSES = 3
SHAPES = [(12.0, 12.0), (40.0, 20.0), (30.0, 60.0)]
PYRAMID = [[(s, s), (1.5 * s, s)] for s in (16.0, 32.0, 64.0, 128.0, 256.0)]
REGIONS = PYRAMID[1:]
OWN = [*PYRAMID[:4], [(300.0, 200.0)]]  # levels with other numbers of shapes

# a line a detector: what it takes to make a small one
POINTS = ("fcos", "atss", "paa", "gfl", "vfnet", "tood", "autoassign", "dw", "lada", "dual")
GUIDED = ("ga_rpn", "ga_retinanet", "ga_faster_rcnn")  # their anchors are lists, predicted
OWN_CODER = ("vfnet", "tood", "dw")  # their heads work on boxes themselves
SMALL = {
    "yolov2": lambda **k: YOLOv2(num_classes=CLASSES, shapes=SHAPES, **k),
    "retinanet": lambda **k: RetinaNet(
        num_classes=CLASSES, shapes=PYRAMID, width=8, depth=1, **k
    ),
    "yolov1": lambda **k: YOLOv1(num_classes=CLASSES, width=16, **k),
    "yolov3": lambda **k: YOLOv3(num_classes=CLASSES, shapes=PYRAMID[:3], width=8, **k),
    "yolof": lambda **k: YOLOF(num_classes=CLASSES, shapes=SHAPES, width=16, **k),
    "yolox": lambda **k: YOLOX(num_classes=CLASSES, backbone=Tiny(width=4), **k),
    "rtmdet": lambda **k: RTMDet(num_classes=CLASSES, backbone=Tiny(width=4), **k),
    "faster_rcnn": lambda **k: FasterRCNN(
        num_classes=CLASSES, shapes=REGIONS, width=8, hidden=16, **k
    ),
    "faster_rcnn_c4": lambda **k: FasterRCNNC4(num_classes=CLASSES, shapes=[SHAPES], **k),
    "rfcn": lambda **k: RFCN(num_classes=CLASSES, shapes=[SHAPES], width=8, size=3, **k),
    "cascade_rcnn": lambda **k: CascadeRCNN(
        num_classes=CLASSES, shapes=REGIONS, width=8, hidden=16, **k
    ),
    "sliding_window": lambda **k: SlidingWindowDetector(num_classes=CLASSES, depth=1, **k),
    **{name: lambda n=name, **k: point_detector(n, **k) for name in POINTS},
    "gfl_tiny": lambda **k: GFLTiny(num_classes=CLASSES, width=8, depth=1, **k),
    "ssd": lambda **k: SSD(num_classes=CLASSES, shapes=OWN, width=8, **k),
    "ssdlite": lambda **k: SSDLite(num_classes=CLASSES, shapes=OWN, width=8, **k),
    "refinedet": lambda **k: RefineDet(num_classes=CLASSES, shapes=OWN[1:], width=8, **k),
    "metaanchor": lambda **k: MetaAnchor(
        num_classes=CLASSES, shapes=OWN, width=8, depth=1, hidden=4, **k
    ),
    "ga_rpn": lambda **k: GARPN(num_classes=CLASSES, shapes=REGIONS, width=8, **k),
    "ga_retinanet": lambda **k: GARetinaNet(
        num_classes=CLASSES, shapes=PYRAMID, width=8, depth=1, **k
    ),
    "ga_faster_rcnn": lambda **k: GAFasterRCNN(
        num_classes=CLASSES, shapes=REGIONS, width=8, hidden=16, **k
    ),
}  # fmt: skip

# those that are given their boxes: no anchors, no strategy to choose among them
WINDOWS = Windows(sides=(1.0, 0.5, 0.25))
PROPOSED = {
    "fast_rcnn": lambda **k: FastRCNN(num_classes=CLASSES, source=WINDOWS, hidden=16, **k),
    "rcnn": lambda **k: RCNN(num_classes=CLASSES, source=WINDOWS, size=16, **k),
}

# one that finds its boxes by itself, without anchors
SPARSE = {"denet": lambda **k: DeNet(num_classes=CLASSES, width=8, **k)}

# those without anchors: points on maps
KEYPOINTS = {
    "cornernet": lambda **k: CornerNet(num_classes=CLASSES, width=8, **k),
    "extremenet": lambda **k: ExtremeNet(num_classes=CLASSES, width=8, **k),
}

CORE = ("yolov2", "retinanet", "faster_rcnn")  # one of each kind: crossed with everything


def point_detector(name: str, **settings):
    return detector_class(name)(num_classes=CLASSES, width=8, depth=2, **settings)


def make(name: str, **settings):
    torch.manual_seed(0)
    return (SMALL | PROPOSED | SPARSE | KEYPOINTS)[name](**settings)


def target(boxes, labels=None, iscrowd=None):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    out = {"boxes": boxes, "labels": torch.tensor(labels or [0] * len(boxes)).long()}
    return out if iscrowd is None else {**out, "iscrowd": torch.tensor(iscrowd)}


def batch():
    """Images of two sizes, an object of one pixel, an empty image, a crowd."""
    g = torch.Generator().manual_seed(0)
    images = [torch.rand(3, *size, generator=g) for size in ((64, 96), (40, 70), (64, 96))]
    targets = [
        target([[10, 20, 50, 44], [60, 10, 90, 60], [5, 50, 6, 51]], [0, 2, 1]),
        target([]),
        target([[0, 0, 96, 64], [30, 30, 60, 60]], [1, 0], [0, 1]),
    ]
    return images, targets


class Centres(Keypoint):
    """The smallest detector without anchors: a map of centres and one of sizes."""

    def __init__(self, num_classes: int = CLASSES) -> None:
        super().__init__(num_classes=num_classes, strides=(8.0,), multiple=8, smallest=8)
        self.backbone = Tiny(strides=(8,))
        (width,) = self.backbone.channels
        self.heat = nn.Conv2d(width, num_classes, 1)
        self.size = nn.Conv2d(width, 2, 1)

    def predict_maps(self, images):
        (x,) = self.backbone(images)
        return {"heat": self.heat(x), "size": self.size(x)}

    def _cells(self, targets, maps):
        centre = (targets.boxes[:, :2] + targets.boxes[:, 2:]) / 2
        limit = torch.tensor(maps["heat"].shape[:1:-1])
        return torch.minimum((centre / 8).long().clamp(min=0), limit - 1).unbind(1)

    def map_losses(self, maps, targets):
        rows = (~targets.ignore).nonzero()[:, 0]
        x, y = (v[rows] for v in self._cells(targets, maps))
        image, goal = targets.image[rows], torch.zeros_like(maps["heat"])
        goal[image, targets.labels[rows], y, x] = 1
        side = (targets.boxes[:, 2:] - targets.boxes[:, :2])[rows].clamp(min=1).log()
        count = max(len(rows), 1)
        entropy = nn.functional.binary_cross_entropy_with_logits
        return {
            "heat": entropy(maps["heat"], goal, reduction="sum") / count,
            "size": (maps["size"][image, :, y, x] - side).abs().sum() / count,
        }

    def find(self, maps, sizes):
        score, place = maps["heat"].sigmoid().flatten(1).topk(20)
        columns, cells = maps["heat"].shape[3], maps["heat"].shape[2:].numel()
        label, cell = place // cells, place % cells
        centre = torch.stack([cell % columns, cell // columns], -1) * 8.0 + 4
        size = maps["size"].flatten(2).transpose(1, 2)
        half = size.gather(1, cell[..., None].expand(-1, -1, 2)).exp() / 2
        boxes = torch.cat([centre - half, centre + half], -1).clamp(min=0)
        boxes = torch.minimum(boxes, sizes.flip(1).repeat(1, 2)[:, None].to(boxes))
        image = torch.arange(len(score))[:, None].expand_as(score)
        return Detections(
            boxes=boxes.flatten(0, 1), scores=score.flatten(), labels=label.flatten(),
            image=image.flatten(), batch_size=len(sizes),
        )  # fmt: skip
