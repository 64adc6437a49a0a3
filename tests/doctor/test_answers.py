"""Facts about anchors and objects against a dense brute force, and the letterbox by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from kedge import Grid, Level
from kedge.assign.max_iou import MaxIoU
from kedge.coders import DeltaCoder
from kedge.data import DetectionDataset, eval_transforms
from kedge.doctor import Context, Setup, of_detector
from kedge.doctor.answers import answer, overlaps
from kedge.doctor.context import design_for
from kedge.doctor.objects import as_seen, band_of, octave_name, octave_of, pack


@pytest.fixture
def setup():
    grid = Grid(
        (128, 160),
        [Level(stride=8, shapes=[(12, 16), (30, 18)]), Level(stride=16, shapes=[(50, 60)])],
    )
    return Setup(title="two levels", grid=grid, assign=MaxIoU(), coder=DeltaCoder(), flags="")


def test_boxes_are_where_the_network_sees_them(toys):
    """The doctor's shortcut and the real transform of a whole data set."""
    size = (160, 128)
    seen = as_seen(pack(toys.records), size)
    dataset = DetectionDataset(toys, eval_transforms(size), cache=False)
    for i in (0, 7, 33):
        _, target = dataset[i]
        np.testing.assert_allclose(
            seen.xyxy[seen.image == i], target["boxes"].numpy(), rtol=1e-5, atol=1e-4
        )


def test_an_input_without_pixels_is_refused(toys):
    with pytest.raises(ValueError, match=r"size must be .height, width. in pixels"):
        as_seen(pack(toys.records), (0, 64))


def test_bands_and_octaves():
    assert band_of(np.array([31.9, 32, 95.9, 96])).tolist() == [0, 1, 1, 2]
    assert octave_of(np.array([1.0, 1.9, 2, 0.5, 0.49])).tolist() == [0, 0, 1, -1, -2]
    assert octave_name(4) == "16-32 px"


def test_answers_against_the_dense_form(toys, setup):
    context = Context(data=toys, setup=setup)
    found, objects = context.answers, context.fair
    anchors = setup.grid.boxes()
    for image in range(12):
        mine = objects.image == image
        boxes = torch.from_numpy(objects.xyxy[mine])
        if len(boxes) == 0:
            assert found.per_image[image] == 0
            continue
        iou = box_iou(boxes, anchors)
        np.testing.assert_allclose(found.best[mine], iou.amax(1), rtol=1e-4, atol=1e-6)
        targets = context.sample.targets(image, image + 1)
        assigned = setup.assign(setup.grid, targets).dense()[0]
        assert found.per_image[image] == int((assigned >= 0).sum())
    assert found.positives.sum() <= found.per_shape.sum() == found.per_image.sum()
    assert found.anchors == 80 * len(setup.grid)
    assert len(found.codes) == found.per_shape.sum()


def test_the_sweep_against_the_dense_form(toys, setup):
    objects = as_seen(pack(toys.records[:10]), (128, 160))
    over = overlaps(setup, objects)
    anchors = setup.grid.boxes()
    every = [
        box_iou(torch.from_numpy(part.xyxy), anchors).amax(0)
        for i in range(10)
        if len(part := objects.fair.of_images(np.array([i])))
    ]
    dense = torch.cat(every)
    for positive, negative in ((0.5, 0.4), (0.6, 0.25), (0.3, 0.3)):
        high, middle, low = over.split(positive, negative)
        assert high == int((dense >= positive).sum())
        assert middle == int(((dense >= negative) & (dense < positive)).sum())
        assert low == 10 * len(anchors) - high - middle
    assert len(over.own) == len(objects.fair)


@pytest.mark.parametrize(("positive", "negative"), [(0.15, 0.1), (0.3, 0.05), (0.5, 0.0)])
def test_thresholds_below_those_of_the_sweep_count_as_the_rule_does(
    toys, setup, positive, negative
):
    rule = MaxIoU(positive=positive, negative=negative, low_quality="none")
    low = replace(setup, assign=rule)
    objects = as_seen(pack(toys.records[:10]), (128, 160))
    found, over = answer(low, objects), overlaps(low, objects)
    high, middle, _ = over.split(positive, negative)
    assert (high, middle) == (found.per_shape.sum(), found.ignored)
    np.testing.assert_array_equal(over.own < positive, found.positives == 0)


def test_nothing_to_answer_for(make_data, setup):
    context = Context(data=make_data([[], []]), setup=setup)
    assert len(context.answers.best) == 0
    assert context.designed is None


def test_cells_judge_shapes_alone(make_data):
    """YOLOv2 gives the centre to the cell: an object off the grid fits as well as on it."""
    data = make_data([[[0, 0, 32, 32]], [[5, 9, 37, 41]]], size=(96, 96))
    setup = of_detector("yolov2", (96, 96), "32x32,90x90")
    answers = answer(setup, as_seen(pack(data.records), (96, 96)))
    np.testing.assert_allclose(answers.best, 1)
    assert answers.positives.tolist() == [1, 1]


def test_a_sample_of_images_is_taken_by_seed(toys, setup, monkeypatch):
    monkeypatch.setattr("kedge.doctor.context._IMAGES", 20)
    one, two, other = (Context(data=toys, setup=setup, seed=s) for s in (0, 0, 1))
    assert one.sampled
    assert one.chosen.tolist() == two.chosen.tolist() != other.chosen.tolist()
    assert one.note_of_sample()["sample_of_images"] == 80
    assert len(one.sample_names) == 20


def test_designed_shapes_are_judged_on_images_they_did_not_see(toys):
    setup = of_detector("yolov2", (256, 320), "4x4,5x5,6x6,7x7,8x8")
    sample = as_seen(pack(toys.records), (256, 320))
    found = design_for(setup, sample)
    assert len(found.objects) < 0.7 * len(sample.fair)
    assert found.before.best.mean() < 0.2
    assert found.after.best.mean() > 0.6
    again = design_for(setup, sample)
    assert torch.equal(found.setup.grid.shapes, again.setup.grid.shapes)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"name": "detr"}, "no detector 'detr'.*there are yolov1, yolov2"),
        ({"name": "yolov2", "anchors": "nonesuch"}, "unknown"),
        ({"name": "retinanet", "anchors": "10x10,20x20"}, "cannot share 2 shapes evenly"),
    ],
)
def test_wrong_words(words, said):
    with pytest.raises(ValueError, match=said):
        of_detector(**words)
