"""Extreme points by hand: from polygons, through readers and transforms, to what ExtremeNet is
told."""

import json
import math

import numpy as np
import PIL.Image
import pytest
import torch

from kedge.cli import run
from kedge.data import DetectionDataset, collate, eval_transforms, read, train_transforms
from kedge.data.extremes import extremes_of, extremes_said, on_sides, with_extremes
from kedge.data.transforms import RandomPlace
from kedge.detectors import ExtremeNet
from kedge.detectors.extremenet import EXTREMES, extreme_points
from kedge.types import Targets

TRIANGLE = [10, 40, 50, 40, 20, 10]  # its top is no middle
NONE = [math.nan] * 4


def test_a_triangle_has_its_corners_and_the_middle_of_its_flat_side():
    assert extremes_of([TRIANGLE]) == (20, 40, 30, 40)


@pytest.mark.parametrize("turn", range(6))
def test_a_flat_top_counts_as_far_as_it_is_flat_wherever_the_polygon_begins(turn):
    points = [(0, 50), (20, 1), (30, 0), (60, 2), (100, 50), (50, 100)]  # 2 % of 100 px
    ring = [value for point in points[turn:] + points[:turn] for value in point]
    assert extremes_of([ring]) == (40, 50, 50, 50)
    steeper = [value if value != 2 else 2.1 for value in ring]
    assert extremes_of([steeper])[0] == 25
    backwards = [value for n in range(10, -1, -2) for value in ring[n : n + 2]]
    assert extremes_of([backwards]) == (40, 50, 50, 50)


def test_parts_of_one_object_share_its_sides():
    left, right = [0, 10, 20, 10, 20, 30, 0, 30], [50, 0, 60, 20, 40, 20]
    assert extremes_of([left, right]) == (50, 20, 10, 20)


@pytest.mark.parametrize(
    "said",
    [[], None, {"counts": "ab"}, [[]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]], [1, 2, 3, 4, 5, 6],
     [[1, 2, 3, 4, 5, math.nan]], [[1, 2, 3, 4, 5, 10**400]], [[1, 2, 3, 4, "x", 6]],
     [TRIANGLE, "x"]],
)  # fmt: skip
def test_what_is_no_polygon_has_none(said):
    assert extremes_said(said) is None


def test_numbers_may_be_text():
    assert extremes_said([list(map(str, TRIANGLE))]) == extremes_of([TRIANGLE])


def test_every_extreme_point_touches_the_box_and_lies_within_the_side():
    rng = np.random.default_rng(0)
    for _ in range(200):
        rings = [rng.uniform(0, 100, (rng.integers(3, 9), 2)) for _ in range(rng.integers(1, 4))]
        every = np.concatenate(rings)
        box = np.concatenate([every.min(0), every.max(0)])
        found = extremes_of([ring.ravel().tolist() for ring in rings])
        assert np.array_equal(on_sides(np.array([found]), box[None]), [found])
        places = extreme_points(torch.tensor(box[None]), torch.tensor(np.array([found])))
        near = 0.02 * (box[2:] - box[:2])[[1, 0, 1, 0]]
        for name, slack, axis in zip(EXTREMES, near, (1, 0, 1, 0)):
            point = places[name][0].numpy()
            touched = every[np.abs(every[:, axis] - point[axis]) <= slack, 1 - axis]
            assert touched.min() <= point[1 - axis] <= touched.max()


# -- readers ---------------------------------------------------------------------------------------

BOX = [10, 10, 40, 30]


def coco(folder, rows):
    PIL.Image.new("RGB", (80, 60)).save(folder / "a.png")
    said = {
        "images": [{"id": 1, "file_name": "a.png", "width": 80, "height": 60}],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "bbox": BOX, **row}
            for n, row in enumerate(rows)
        ],
    }
    (folder / "train.json").write_text(json.dumps(said))
    return folder


ROWS = [
    {"segmentation": [TRIANGLE]},
    {"segmentation": {"counts": "ab", "size": [60, 80]}, "iscrowd": 1},
    {"segmentation": [TRIANGLE], "iscrowd": 1},
    {"segmentation": []},
    {},
    {"segmentation": [[1, 2]]},
]


@pytest.mark.parametrize("by_the_book", [True, False])
def test_coco(tmp_path, by_the_book):
    rows = ROWS if by_the_book else [{**row, "category_id": "1"} for row in ROWS]
    folder = coco(tmp_path, rows)
    data = read(folder, extremes=True)
    assert np.array_equal(
        data.records[0].extremes, np.float32([[20, 40, 30, 40], *[NONE] * 5]), equal_nan=True
    )
    assert with_extremes(data).startswith("extreme points: 1 of 4 objects")
    (finding,) = [f for f in data.findings if f.kind == "unreadable polygon"]
    assert (finding.record, finding.count, finding.action) == ("annotation 5", 1, "kept")
    unasked = read(folder)
    assert unasked.records[0].extremes is None
    assert np.array_equal(unasked.records[0].boxes, data.records[0].boxes)
    assert not [f for f in unasked.findings if f.kind == "unreadable polygon"]


def test_points_beyond_a_box_go_to_its_ends(tmp_path):
    wide = [{"segmentation": [[-20, 0, 70, 0, 60, 55]]}]
    assert read(coco(tmp_path, wide), extremes=True).records[0].extremes.tolist() == [
        [25, 10, 50, 10]
    ]


def test_a_set_without_polygons_has_none(tmp_path):
    data = read(coco(tmp_path, [{}]), extremes=True)
    assert data.records[0].extremes is None
    assert "0 of 1 object," in with_extremes(data)


def test_labelme(tmp_path):
    PIL.Image.new("RGB", (80, 60)).save(tmp_path / "a.png")
    points = [[10, 40], [50, 40], [20, 10]]
    shapes = [
        {"label": "x", "points": points, "shape_type": "polygon"},
        {"label": "x", "points": [[10, 10], [50, 40]], "shape_type": "rectangle"},
        {"label": "x", "points": points[:2], "shape_type": "polygon"},
    ]
    said = {"imagePath": "a.png", "imageWidth": 80, "imageHeight": 60, "shapes": shapes}
    (tmp_path / "a.json").write_text(json.dumps(said))
    data = read(tmp_path, on_bad_box="drop", extremes=True)
    assert np.array_equal(
        data.records[0].extremes, np.float32([[20, 40, 30, 40], NONE]), equal_nan=True
    )
    assert [f.record for f in data.findings if f.kind == "unreadable polygon"] == [
        "shape 3 of a.json"
    ]


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["0 .125 .6667 .625 .6667 .25 .1667", "0 .5 .5 .5 .5"], [[20, 40, 30, 40], NONE]),
        (["0 .1 .5 .5 .1 .9 .5 .5 .9"], None),  # four corners, all of them: a turned box
    ],
)
def test_yolo(tmp_path, lines, wanted):
    (tmp_path / "data.yaml").write_text("names: [x]\ntrain: images\n")
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    PIL.Image.new("RGB", (80, 60)).save(tmp_path / "images" / "a.png")
    (tmp_path / "labels" / "a.txt").write_text("\n".join(lines))
    found = read(tmp_path, extremes=True).records[0].extremes
    if wanted is None:
        assert found is None
    else:
        np.testing.assert_allclose(found, wanted, atol=0.01)
    assert read(tmp_path).records[0].extremes is None


# -- transforms ------------------------------------------------------------------------------------


def sample(tmp_path, transform, rows=ROWS[:1]):
    dataset = DetectionDataset(read(coco(tmp_path, rows), extremes=True), transform)
    return dataset[0]


def test_they_are_letterboxed_as_boxes_are(tmp_path):
    item = sample(tmp_path, eval_transforms((120, 200)), [*ROWS[:1], {}])
    extremes = item[1]["extremes"]  # twice as large, 20 px further right
    assert torch.equal(extremes[0], torch.tensor([60.0, 80, 80, 80]))
    assert extremes[1].isnan().all()
    _, targets = collate([item, item])
    packed = Targets.from_list(targets).to("cpu")
    assert torch.equal(packed.extremes[2], extremes[0])


def test_a_flip_swaps_left_and_right(tmp_path):
    lopsided = [{"segmentation": [[10, 15, 50, 30, 20, 10, 25, 40]]}]
    straight = sample(tmp_path, RandomPlace((60, 80), scale=(1, 1), flip=0.0), lopsided)[1]
    assert straight["extremes"].tolist() == [[20, 15, 25, 30]]
    flipped = sample(tmp_path, RandomPlace((60, 80), scale=(1, 1), flip=1.0), lopsided)[1]
    assert flipped["boxes"].tolist() == [[30, 10, 70, 40]]
    assert flipped["extremes"].tolist() == [[60, 30, 55, 15]]


def test_a_crop_leaves_them_on_the_box_that_is_left(tmp_path):
    place = RandomPlace((60, 40), scale=(1, 1), flip=0.0, within=(60, 80))
    _, target = sample(tmp_path, place, [*ROWS[:1], {}])
    cut = -float(target["letterbox"][2])
    assert 0 <= cut <= 40
    left, right = max(10 - cut, 0), min(50 - cut, 40)
    assert target["boxes"][0].tolist() == [left, 10, right, 40]
    wanted = [min(max(x - cut, left), right) for x in (20, 30)]
    assert target["extremes"][0].tolist() == [wanted[0], 40, wanted[1], 40]
    assert target["extremes"][1].isnan().all()


def test_they_stay_on_their_sides_whatever_training_does(tmp_path):
    data = read(coco(tmp_path, [*ROWS[:1], {"bbox": [60, 40, 15, 15]}]), extremes=True)
    dataset = DetectionDataset(data, train_transforms((48, 64), crop=(32, 40)), cache=False)
    sides = 0
    for epoch in range(30):
        dataset.set_epoch(epoch)
        _, target = dataset[0]
        extremes, boxes = target["extremes"].numpy(), target["boxes"].numpy()
        assert extremes.shape == boxes.shape
        assert np.array_equal(on_sides(extremes, boxes), extremes, equal_nan=True)
        sides += int((~np.isnan(extremes)).sum())
    assert sides > 40


# -- what is learned -------------------------------------------------------------------------------


def test_heat_is_wanted_at_the_polygon_where_there_is_one(tmp_path):
    item = sample(tmp_path, eval_transforms((60, 80)), [*ROWS[:1], {"bbox": [50, 40, 24, 16]}])
    images, rows = collate([item], multiple=32)
    model = ExtremeNet(num_classes=1, width=8)
    wanted = {"top": (20, 10), "left": (10, 40), "bottom": (30, 40), "right": (50, 40)}
    middles = {"top": (62, 40), "left": (50, 48), "bottom": (62, 56), "right": (74, 48)}
    shown = {n: torch.full((1, 1, 8, 12), -20.0) for n in (*EXTREMES, "centre")}
    for points in (wanted, middles, None):
        for name in shown:
            centre = ((30, 25), (62, 48))
            for x, y in centre if name == "centre" else [points[name]] if points else []:
                shown[name][0, 0, int(y / 8), int(x / 8)] = 20.0
    maps = {f"{name}_heat": heat for name, heat in shown.items()}
    maps |= {f"{name}_offset": torch.zeros(1, 2, 8, 12) for name in EXTREMES}
    told = Targets.from_list(rows)
    assert float(model.map_losses(maps, told)["heat"]) < 1e-4
    untold = Targets.from_list([{k: v for k, v in rows[0].items() if k != "extremes"}])
    assert float(model.map_losses(maps, untold)["heat"]) > 1
    model.train()
    losses = model(list(images), rows)  # through torchvision's language
    again = model.losses(images, told).losses
    assert losses["heat"] == again["heat"] != model.losses(images, untold).losses["heat"]


def test_extremes_of_another_length_are_refused():
    row = {"boxes": torch.rand(2, 4).sort().values, "extremes": torch.rand(1, 4)}
    with pytest.raises(ValueError, match=r"target of image 0: 'extremes' must be \(2, 4\)"):
        Targets.from_list([row])


def test_training_says_how_many_objects_have_them(tmp_path, capsys):
    from kedge.train.config import TrainConfig
    from kedge.train.run import read_splits

    folder = coco(tmp_path, ROWS)
    read_for = {
        name: read_splits(TrainConfig(data=str(folder), detector=name, on_bad_box="drop"))[0]
        for name in ("extremenet", "cornernet")
    }
    assert read_for["extremenet"].records[0].extremes is not None
    assert read_for["cornernet"].records[0].extremes is None
    assert run(["data", str(folder), "--extremes"]) == 0
    assert "extreme points: 1 of 4 objects, from polygons" in capsys.readouterr().out
