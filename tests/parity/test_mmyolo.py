"""YOLOv7's rule beside MMYOLO's own code, on heads of random outputs.

MMYOLO's package asks for a full MMCV of another version; its assigner is a file that needs neither,
so that file alone is loaded. Objects stand apart: where several match one anchor, MMYOLO lists that
anchor once for each, and counts it so often among the largest overlaps. All have a shape of about
their size: one that has none gets any other object's anchor there, none here.
"""

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch
from parity.cases import mm, needs

from kedge import Grid, Level, Predictions, Targets
from kedge.assign import YOLOv7

pytestmark = [
    needs("MMDetection"),
    pytest.mark.skipif(find_spec("mmyolo") is None, reason="MMYOLO is not installed"),
]
SIZE, CLASSES, BATCH = (320, 448), 4, 2
STRIDES = (8, 16, 32)
OURS = {"candidate_topk": "k", "prior_match_thr": "max_ratio"}
SHAPES = [
    [(10.0, 13.0), (16.0, 30.0), (33.0, 23.0)],
    [(30.0, 61.0), (62.0, 45.0), (59.0, 119.0)],
    [(116.0, 90.0), (156.0, 198.0), (373.0, 326.0)],
]


def theirs(**settings):
    """Their assigner."""
    mm.mmdetection()  # which the file imports, without MMCV's kernels
    spec = find_spec("mmyolo")
    assert spec is not None
    place = Path(str(spec.origin)).parent / "models/task_modules/assigners"
    file = spec_from_file_location("batch_yolov7", place / "batch_yolov7_assigner.py")
    assert file is not None
    assert file.loader is not None
    module = module_from_spec(file)
    file.loader.exec_module(module)
    return module.BatchYOLOv7Assigner(CLASSES, 3, STRIDES, **settings)


def scene(seed):
    """Objects in places of 96 px, and the outputs of a head."""
    rng = torch.Generator().manual_seed(seed)
    images = []
    for _ in range(BATCH):
        places = torch.cartesian_prod(torch.arange(48, 448, 96), torch.arange(48, 320, 96))
        chosen = places[torch.randperm(len(places), generator=rng)[: 7 - seed]]
        centre = chosen + 12 * torch.rand(len(chosen), 2, generator=rng)
        side = 10 + 90 * torch.rand(len(chosen), 2, generator=rng) ** 2
        boxes = torch.cat([centre - side / 2, centre + side / 2], 1)
        labels = torch.randint(CLASSES, (len(chosen),), generator=rng)
        images.append({"boxes": boxes, "labels": labels})
    height, width = SIZE
    maps = [
        torch.randn(BATCH, 3, height // s, width // s, 5 + CLASSES, generator=rng) for s in STRIDES
    ]
    return images, maps


def predictions(maps):
    """The outputs as boxes, classes and objectness, anchors in the grid's order."""
    boxes, logits, objectness = [], [], []
    for outputs, stride, shapes in zip(maps, STRIDES, SHAPES):
        rows = outputs.permute(0, 2, 3, 1, 4)  # image, y, x, shape
        y, x = torch.meshgrid(*map(torch.arange, rows.shape[1:3]), indexing="ij")
        cell = torch.stack([x, y], -1)[:, :, None]
        centre = (rows[..., :2].sigmoid() * 2 - 0.5 + cell) * stride
        side = (rows[..., 2:4].sigmoid() * 2) ** 2 * torch.tensor(shapes)
        boxes.append(torch.cat([centre - side / 2, centre + side / 2], -1).reshape(BATCH, -1, 4))
        logits.append(rows[..., 5:].reshape(BATCH, -1, CLASSES))
        objectness.append(rows[..., 4].reshape(BATCH, -1))
    return Predictions.from_tensors(
        torch.cat(logits, 1), torch.cat(boxes, 1), torch.cat(objectness, 1)
    )


def in_their_form(images):
    """(3, G, 7): image, class, centre and sides as shares of the input, shape."""
    rows = []
    for image, one in enumerate(images):
        low, high = one["boxes"].split(2, 1)
        scale = torch.tensor([SIZE[1], SIZE[0]])
        parts = [one["labels"][:, None], (low + high) / 2 / scale, (high - low) / scale]
        rows.append(torch.cat([torch.full((len(low), 1), image), *parts], 1))
    targets = torch.cat(rows)[None].repeat(3, 1, 1)
    return torch.cat([targets, torch.arange(3.0)[:, None, None].expand(3, targets.shape[1], 1)], 2)


@pytest.mark.parametrize("settings", [{}, {"candidate_topk": 3, "prior_match_thr": 6.0}], ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_the_same_anchors_answer(seed, settings):
    images, maps = scene(seed)
    cells = torch.tensor(SHAPES) / torch.tensor(STRIDES)[:, None, None]
    steps = torch.tensor([[0.0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]])[:, None]
    found = theirs(**settings)(maps, in_their_form(images), SIZE, cells, steps)

    ours = YOLOv7(
        k=settings.get("candidate_topk", 10), max_ratio=settings.get("prior_match_thr", 4)
    )
    grid = Grid(SIZE, [Level(stride=s, shapes=a) for s, a in zip(STRIDES, SHAPES)])
    targets = Targets.from_list(images)
    got = ours(grid, targets, predictions(maps))

    expected, start = [], 0
    for level, (height, width) in enumerate(grid.sizes):
        rows = found["mlvl_positive_infos"][level].long()
        goal = found["mlvl_targets_normed"][level]
        for (image, shape, x, y), normed in zip(rows.tolist(), goal):
            flat = image * len(grid) + start + (y * width + x) * 3 + shape
            centre = normed[2:4] * torch.tensor([SIZE[1], SIZE[0]])
            away = (targets.boxes[:, :2] + targets.boxes[:, 2:]) / 2 - centre
            away = away.abs().sum(1) + 1e6 * (targets.image != image)
            expected.append((flat, int(away.argmin())))
        start += height * width * 3
    assert sorted(zip(got.anchor.tolist(), got.target.tolist())) == sorted(expected)
    assert len(expected) >= len(targets)
