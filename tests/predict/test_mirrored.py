"""A second look at the mirrored image: by hand, and through the command."""

import json

import pytest
import torch
from detectors.scenes import KEYPOINTS, SMALL, SPARSE, make

from kedge.cli import run
from kedge.data import toy
from kedge.predict.mirrored import both_ways, suppression_of
from kedge.select import NMS
from kedge.train.config import make_config
from kedge.train.run import train


def half_blind(images):
    """Finds what is bright, 4 x 2 px, but sees the left half alone."""
    rows = []
    for image in images:
        y, x = (image[0, :, : image.shape[-1] // 2] > 0.5).nonzero().unbind(1)
        found = len(x) > 0
        box = [[int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]] if found else []
        boxes = torch.tensor(box, dtype=torch.float32).view(-1, 4)
        scores = torch.full((len(boxes),), 0.5 + float(image.mean()))
        labels = torch.zeros(len(boxes), dtype=torch.int64)
        rows.append({"boxes": boxes, "labels": labels, "scores": scores})
    return rows


def test_what_the_mirror_shows_stands_where_it_is():
    images = torch.zeros(3, 3, 8, 20)
    images[0, :, 2:4, 13:17] = 1  # right: only the mirror image shows it
    images[1, :, 2:4, 3:7] = 1
    first, second, third = both_ways(half_blind, NMS(), 100)(images)
    assert first["boxes"].tolist() == [[13, 2, 17, 4]]
    assert second["boxes"].tolist() == [[3, 2, 7, 4]]
    assert len(third["boxes"]) == 0
    sizes = [images[0], images[0, :, :6, :18]]  # images of several widths
    assert [row["boxes"].tolist() for row in both_ways(half_blind, NMS(), 100)(sizes)] == [
        [[13, 2, 17, 4]],
        [[13, 2, 17, 4]],
    ]


def test_both_looks_at_one_object_are_one_detection_and_the_best_stay():
    def everywhere(images):
        boxes = torch.tensor([[8.0, 2, 12, 4], [0, 0, 4, 4]])
        row = {"boxes": boxes, "labels": torch.tensor([1, 0]), "scores": torch.tensor([0.9, 0.6])}
        return [row for _ in images]

    [found] = both_ways(everywhere, NMS(), None)(torch.zeros(1, 3, 8, 20))
    assert found["boxes"].tolist() == [[8, 2, 12, 4], [0, 0, 4, 4], [16, 0, 20, 4]]
    assert found["labels"].tolist() == [1, 0, 0]
    [found] = both_ways(everywhere, NMS(), 2)(torch.zeros(1, 3, 8, 20))
    assert len(found["boxes"]) == 2


@pytest.mark.parametrize("detector", [*SMALL, *SPARSE, *KEYPOINTS])
def test_every_detector_finds_the_mirror_of_it_in_a_mirrored_image(detector):
    model = make(detector).eval()
    look = both_ways(model, suppression_of(model), model.most)
    image = torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        [found], [turned] = look([image]), look([image.flip(-1)])
    assert len(found["scores"]) == len(turned["scores"])
    assert len(found["scores"]) <= model.most
    torch.testing.assert_close(found["scores"], turned["scores"])  # the best first


def test_evaluate_mirrored(tmp_path, capsys):
    data = toy.write(tmp_path / "mini", train=8, val=2, size=(64, 96))
    settings = {"data": str(data), "image_size": (64, 96), "epochs": 1, "out": tmp_path / "run"}
    train(make_config(settings))
    found = {}
    for flag in ("--mirrored", "--no-mirrored"):
        file = tmp_path / f"{flag}.json"
        assert run(["evaluate", str(tmp_path / "run"), flag, "--save-results", str(file)]) == 0
        found[flag] = json.loads(file.read_text())
    boxes = [{tuple(row["bbox"]) for row in rows} for rows in found.values()]
    assert boxes[0] - boxes[1]  # the second look adds some
    assert run(["evaluate", "--results", "x.json", "--data", str(data), "--mirrored"]) == 2
    assert "--mirrored: a results file looks at nothing" in capsys.readouterr().err


def test_given_boxes_are_not_mirrored(tmp_path, capsys):
    data = toy.write(tmp_path / "mini", train=8, val=2, size=(64, 96))
    settings = {"data": str(data), "image_size": (64, 96), "epochs": 1, "out": tmp_path / "run"}
    train(make_config(settings | {"detector": "fast_rcnn"}))
    assert run(["evaluate", str(tmp_path / "run"), "--mirrored"]) == 2
    assert "belong to the image as it is" in capsys.readouterr().err
