"""From files to boxes as the network sees them, and the whole command on real data."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pytest
import torch

from kedge.data import toy
from kedge.design import (
    BoxTable,
    DesignSettings,
    Letterbox,
    Recipe,
    ShorterSide,
    Stretch,
    as_seen,
    design_command,
    fit,
    letterbox,
    read_table,
    table_from_records,
)
from kedge.design.command import curve_ks
from kedge.design.frameworks import FRAMEWORKS, FrameworkName
from kedge.design.source import read_boxes
from kedge.interop.design_snippet import design_snippet
from kedge.interop.snippets import frameworks, snippet


def table(rows: Sequence[Sequence[float]], size: tuple[int, int] = (480, 640)) -> BoxTable:
    xyxy = np.array(rows, np.float32).reshape(-1, 4)
    return BoxTable(
        xyxy=xyxy,
        size=np.full((len(xyxy), 2), size, np.float32),
        image=np.arange(len(xyxy)),
        label=np.zeros(len(xyxy), np.int64),
    )


def random_table(images: int = 60, each: int = 8) -> BoxTable:
    random = np.random.default_rng(0)
    n = images * each
    wh = random.lognormal(3.8, 0.7, (n, 2)).clip(4, 400)
    corner = random.random((n, 2)) * (np.array([640, 480]) - wh).clip(0)
    return BoxTable(
        xyxy=np.concatenate([corner, corner + wh], 1).astype(np.float32),
        size=np.full((n, 2), (480, 640), np.float32),
        image=np.repeat(np.arange(images), each),
        label=random.integers(0, 3, n),
    )


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        (
            Letterbox(size=(320, 320)),
            (0, 40, 50, 140),
        ),  # 480 x 640 to 240 x 320: half, in the middle
        (Letterbox(size=(480, 320)), (0, 120, 50, 220)),
        (Letterbox(size=(240, 420)), (50, 0, 100, 100)),
        (Stretch(size=(960, 320)), (0, 0, 50, 400)),  # (H, W): twice as high, half as wide
        (ShorterSide(side=960, longest=10_000), (0, 0, 200, 400)),
        (ShorterSide(side=960, longest=640), (0, 0, 100, 200)),
    ],
)
def test_resizing_by_hand(resize, expected):
    seen = as_seen(table([(0, 0, 100, 200)]), Recipe(resizes=(resize,)))
    assert seen.xyxy[0].tolist() == pytest.approx(expected)


def test_a_letterboxed_table_is_what_the_network_is_shown():
    """Against the transform that the detectors' data go through, images high, wide and odd."""
    from kedge.data.transforms import Fit, as_boxes

    sizes = [(480, 640), (640, 480), (333, 1001), (97, 31), (600, 600)]
    boxes = torch.tensor([[3.0, 5.0, 20.5, 31.0], [0.0, 0.0, 31.0, 97.0]])
    rows = [table(boxes.tolist(), size) for size in sizes]
    size = (416, 640)
    for (height, width), mine in zip(sizes, rows):
        target = {
            "boxes": as_boxes(boxes, (height, width)),
            "letterbox": torch.tensor([1.0, 1.0, 0.0, 0.0]),
        }
        shown = Fit(size).target(target, height, width)["boxes"].as_subclass(torch.Tensor)
        seen = as_seen(mine, letterbox(size))
        np.testing.assert_allclose(seen.xyxy, shown.numpy(), rtol=1e-6, atol=1e-4)
        assert (seen.size == size).all()


def test_placed_recall_of_a_high_image_counts_the_padding_beside_it():
    """A 40 x 40 object of a 320 x 160 image stands at x = 80 to 120 of 320 x 320: between the cells
    of stride 80 whose centres are 40 and 120. Without the padding it would stand on a centre."""
    rows = table([(0, 0, 40, 40)], (320, 160))
    seen = as_seen(rows, letterbox(320))
    assert seen.xyxy.tolist() == [[80, 0, 120, 40]]
    found = fit(
        seen.wh, 1, "placed", image_size=320, strides=(40,), centres=seen.centres, restarts=1
    )
    assert found.placed_recall == 1
    assert found.score == 1


def test_images_without_a_size_lose_their_boxes_and_no_others():
    rows = table([(0, 0, 10, 20)] * 4)
    rows.size[:3] = [(0, 640), (np.nan, 640), (np.inf, 5)]
    seen = as_seen(rows, letterbox(640))
    assert np.isnan(seen.xyxy[:3]).all()
    assert seen.xyxy[3].tolist() == [0, 80, 10, 100]
    assert len(as_seen(table([]), letterbox(640))) == 0


def test_multi_scale_shows_every_image_at_every_size_once():
    rows = [(0, 0, 64, 64)] * 5
    sides = tuple(Letterbox(size=(side, side)) for side in (320, 640, 960))
    seen = as_seen(table(rows), Recipe(resizes=sides, passes=3))
    sides = seen.wh[:, 0].reshape(3, 5)
    assert np.sort(sides, 0).T.tolist() == [[32, 64, 96]] * 5


def test_random_scale_is_one_factor_per_image_within_range():
    rows = random_table()
    seen = as_seen(rows, Recipe(resizes=(Letterbox(size=(640, 640)),), scale=(0.5, 2.0)))
    factor = (seen.wh / rows.wh).reshape(60, -1)
    assert np.ptp(factor, axis=1).max() < 1e-3
    assert 0.5 <= factor.min() < 0.7 < 1.7 < factor.max() <= 2.001


def test_crop_cuts_boxes_at_its_border_and_drops_slivers():
    recipe = Recipe(
        resizes=(Letterbox(size=(480, 640)),), scale=(2.0, 2.0), crop=(480, 640), min_visible=0.25
    )
    seen = as_seen(random_table(), recipe, seed=1)
    assert 0 < len(seen) < 480
    assert seen.xyxy.min() >= 0
    assert (seen.xyxy[:, 2] <= 640).all()
    assert (seen.xyxy[:, 3] <= 480).all()
    whole = as_seen(table([(0, 0, 640, 480)]), recipe)
    assert whole.wh.tolist() == [[640, 480]]  # a quarter of it is left, all of the window


def test_same_seed_same_boxes():
    recipe = Recipe(resizes=(Letterbox(size=(320, 320)),), scale=(0.5, 1.5), crop=(256, 256))
    first, again = (as_seen(random_table(), recipe, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.xyxy, again.xyxy)
    other = as_seen(random_table(), recipe, seed=6)
    assert len(other) != len(first) or not np.array_equal(other.xyxy, first.xyxy)


@pytest.mark.parametrize(
    "wrong", [{"resizes": ()}, {"scale": (0, 1)}, {"scale": (2, 1)}, {"passes": 0}]
)
def test_a_wrong_recipe_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Recipe(**{"resizes": (Letterbox(size=(8, 8)),), **wrong})


@pytest.mark.parametrize("ending", ["npz", "csv", "parquet", "jsonl"])
def test_every_kind_of_table_is_read_alike(tmp_path, ending):
    columns = {
        "image_id": [4, 4, 9],
        "x": [1.0, 2.0, 3.0],
        "y": [5.0, 6.0, 7.0],
        "w": [10.0, 20.0, 30.0],
        "h": [11.0, 21.0, 31.0],
        "width": [640] * 3,
        "height": [480] * 3,
        "category_id": [0, 1, 0],
        "iscrowd": [0, 1, 0],
    }
    path = tmp_path / f"boxes.{ending}"
    if ending == "npz":
        np.savez(path, **columns)
    else:
        frame = pytest.importorskip("polars").DataFrame(columns)
        {"csv": frame.write_csv, "parquet": frame.write_parquet, "jsonl": frame.write_ndjson}[
            ending
        ](path)
    found = read_table(path)
    assert found.xyxy.tolist() == [[1, 5, 11, 16], [3, 7, 33, 38]]
    assert found.size.tolist() == [[480, 640]] * 2
    assert (found.image.tolist(), found.label.tolist()) == ([4, 9], [0, 0])
    assert len(read_table(path, crowd=True)) == 3


def test_unknown_files_and_missing_columns_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"\.npz"):
        read_table(tmp_path / "boxes.txt")
    np.savez(tmp_path / "b.npz", x=[1], y=[1], w=[1], h=[1])
    with pytest.raises(ValueError, match="width, height, image_id"):
        read_table(tmp_path / "b.npz")
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"broken\.npz"):
        read_table(tmp_path / "broken.npz")


def test_an_npz_beside_a_data_set_is_not_read_for_its_split(tmp_path):
    toy.write(tmp_path / "set", train=3, val=2, size=(64, 96))
    columns = {key: [1] for key in ("x", "y", "w", "h", "width", "height", "image_id")}
    np.savez(tmp_path / "set" / "val.npz", **columns)
    assert len(read_boxes(str(tmp_path / "set"), "val").classes) == 5


@dataclass
class Image:
    boxes: list
    labels: list
    crowd: list
    width: int = 640
    height: int = 480


def test_records_of_a_data_set_become_a_table():
    records = [
        Image([[0, 0, 10, 20], [5, 5, 6, 6]], [2, 1], [False, True]),
        Image([], [], []),
        Image([[1, 1, 3, 4]], [0], [False]),
    ]
    found = table_from_records(records)
    assert found.wh.tolist() == [[10, 20], [2, 3]]
    assert found.image.tolist() == [0, 2]
    assert len(table_from_records(records, crowd=True)) == 3
    assert len(table_from_records([])) == 0


def test_command_writes_json_and_says_what_to_do():
    settings = DesignSettings(k=6, restarts=8, in_use="identical", baselines=("yolov3_tiny",))
    report = design_command(random_table(), settings)
    found = json.loads(json.dumps(report.to_dict()))
    assert {"shapes", "mean_best_iou", "bpr", "seconds", "verdict", "curve"} <= set(found)
    assert [row["name"] for row in found["comparison"]] == ["new", "yolov3_tiny", "identical"]
    assert found["verdict"]["keep"] is None
    assert "Use the new shapes" in report.text()
    assert sum(len(shapes) for _, shapes in report.levels) == 6


def test_command_for_the_real_grid_gives_every_framework_a_snippet():
    settings = DesignSettings(k=6, objective="placed", restarts=4, curve=False)
    report = design_command(random_table(), settings)
    assert report.design.placed_recall is not None
    assert report.curve is None
    for framework in frameworks():
        assert snippet(framework, report.levels, settings.resizing.size)


@pytest.mark.parametrize("framework", [n for n, f in FRAMEWORKS.items() if f.shared_heads])
def test_shared_heads_get_an_even_split(framework):
    settings = DesignSettings(k=6, framework=framework, restarts=4, curve=False, compare=False)
    report = design_command(random_table(), settings)
    assert [len(shapes) for _, shapes in report.levels] == [2, 2, 2]
    assert design_snippet(report)
    with pytest.raises(ValueError, match=r"each of the 3 levels.*choose --k 6"):
        DesignSettings(k=5, framework=framework)
    assert DesignSettings(k=5, framework=framework, per_level=(1, 2, 2)).counts == (1, 2, 2)
    assert DesignSettings(k=5).counts is None


def test_words_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="go with --layout pyramid"):
        DesignSettings(scales=2)
    with pytest.raises(ValueError, match="leave out --k"):
        DesignSettings(layout="pyramid", k=9)
    pyramid = DesignSettings(layout="pyramid", ratios=2)
    assert (pyramid.number, pyramid.pyramid, pyramid.counts) == (30, (3, 2), None)


def test_every_framework_has_a_name_a_row_and_a_writer():
    assert get_args(FrameworkName) == tuple(FRAMEWORKS)
    assert set(frameworks()) == set(FRAMEWORKS)


def clusters(images: int = 50) -> BoxTable:
    """Boxes of three sizes, far apart."""
    random = np.random.default_rng(0)
    sizes = np.array([[12, 15], [60, 30], [150, 200]])[np.arange(images * 6) % 3]
    wh = sizes * random.uniform(0.97, 1.03, (images * 6, 2))
    corner = random.random(wh.shape) * (np.array([640, 480]) - wh)
    return BoxTable(
        xyxy=np.concatenate([corner, corner + wh], 1).astype(np.float32),
        size=np.full((len(wh), 2), (480, 640), np.float32),
        image=np.repeat(np.arange(images), 6),
        label=np.zeros(len(wh), np.int64),
    )


def test_auto_takes_the_number_where_the_curve_bends():
    settings = DesignSettings(k="auto", restarts=8, compare=False, curve=False)
    report = design_command(clusters(), settings)
    assert report.curve is not None
    assert report.curve.knee == len(report.design.shapes) == report.settings.number == 3
    with pytest.raises(ValueError, match="leave out one"):
        DesignSettings(k="auto", per_level=(1, 1, 1))
    with pytest.raises(ValueError, match="leave out --k"):
        DesignSettings(k="auto", layout="pyramid")


def test_auto_is_a_multiple_of_the_levels_of_shared_heads():
    settings = DesignSettings(k="auto", restarts=8, compare=False, framework="torchvision")
    report = design_command(random_table(), settings)
    assert report.curve is not None
    assert report.curve.k == (3, 6, 9, 12, 15)
    assert len(report.design.shapes) == report.curve.knee
    assert curve_ks(9, 6) == range(6, 19, 6)


def test_command_keeps_good_shapes_in_use():
    data = random_table(200)
    good = design_command(data, DesignSettings(k=4, compare=False, curve=False)).design.shapes
    in_use = tuple((w, h) for w, h in good.tolist())
    settings = DesignSettings(k=4, in_use=in_use, curve=False, baselines=())
    verdict = design_command(data, settings).verdict
    assert verdict is not None
    assert verdict.keep == "in use"


def test_empty_and_one_image_data_sets():
    with pytest.raises(ValueError, match="nothing to design"):
        design_command(table([]))
    one = design_command(table([(0, 0, 30, 40)]), DesignSettings(k=3, restarts=2))
    assert one.verdict is None
    assert "use k = 1" in one.text()


@pytest.mark.parametrize("name", ["official", "unofficial"])
def test_taco_with_its_infinite_boxes(shared_data, name):
    report = design_command(
        read_table(shared_data / "taco_boxes" / f"{name}.npz"),
        DesignSettings(k=5, restarts=8, curve=False),
    )
    assert len(report.design.shapes) == 5
    assert report.design.mean_best_iou > 0.4
    assert np.isfinite(report.design.shapes.numpy()).all()


@pytest.mark.parametrize("name", ["bccd", "aerial_cars", "coco_permissive"])
def test_coco_json_through_the_readers(shared_data, name):
    data = pytest.importorskip("kedge.data").read(shared_data / name, split="train")
    report = design_command(
        table_from_records(data.records), DesignSettings(k=5, restarts=8, curve=False)
    )
    floor = {"bccd": 0.8, "aerial_cars": 0.78, "coco_permissive": 0.5}[name]
    assert report.design.mean_best_iou > floor


def test_letterbox_takes_a_side_or_a_pair():
    assert letterbox(320) == letterbox((320, 320))
