"""Design from shards: the sketch does not know who counted, nor in which order."""

import json
import sys
from itertools import pairwise

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.cli import run
from kedge.design.network import Recipe, as_seen, letterbox
from kedge.design.resizing import Resizing
from kedge.design.settings import DesignSettings
from kedge.design.sketch import Sketch
from kedge.design.source import read_boxes
from kedge.design.statistics import count_shard, count_shards, design_statistics
from kedge.design.streaming import sketch_of_table
from kedge.shards import shards_of

pl = pytest.importorskip("polars")


def table(seed: int, count: int):
    """Boxes of COCO's spread in images of several sizes, two of them unusable, one a crowd."""
    random = np.random.default_rng(seed)
    width, height = random.choice([320, 480, 641], count), random.choice([240, 427, 999], count)
    w = width * random.uniform(0.05, 1, count) ** 2
    h = height * random.uniform(0.05, 1, count) ** 2
    w[0], h[1] = 0, np.nan
    columns = {"x": w * 0, "y": h * 0, "w": w, "h": h, "width": width, "height": height}
    columns["image_id"] = np.arange(count)
    columns["iscrowd"] = np.arange(count) == 2
    columns["category_id"] = np.arange(count) % 3
    return pl.DataFrame(columns)


def bits(sketch: Sketch) -> tuple:
    return sketch.keys.tobytes(), sketch.sums.tobytes(), sketch.dropped


@settings(max_examples=40)
@given(st.data())
def test_no_partition_and_no_order_changes_a_bit(data):
    count = data.draw(st.integers(1, 60))
    sides = st.one_of(
        st.floats(-1, 2000), st.sampled_from([float("nan"), float("inf"), 1e-45, 1e39])
    )
    wh = np.array(data.draw(st.lists(st.tuples(sides, sides), min_size=count, max_size=count)))
    label = np.arange(count) % 3
    whole = Sketch.of(wh, label)
    order = np.array(data.draw(st.permutations(range(count))))
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=5)))
    parts = [Sketch.of(wh[part], label[part]) for part in np.split(order, cuts) if len(part)]
    parts = data.draw(st.permutations(parts))
    merged = Sketch.empty()
    for part in parts:
        merged = part + merged
    assert bits(merged) == bits(whole)


def test_a_stream_in_parts_is_the_stream_of_the_whole(tmp_path):
    """Also of boxes near each other, whose sums are long."""
    whole = pl.concat([table(seed, 4000) for seed in range(5)])
    whole.write_parquet(tmp_path / "all.parquet")
    cuts = [0, 1, 900, 901, 7000, 20_000]
    for i, (low, high) in enumerate(pairwise(cuts)):
        whole.sample(fraction=1, shuffle=True, seed=0)[low:high].write_parquet(
            tmp_path / f"part{i}.parquet"
        )
    recipe = Resizing.of("letterbox", 640, (320, 640)).recipe
    for by_class in (False, True):
        merged = Sketch.empty()
        for i in (3, 0, 4, 2, 1):
            merged += sketch_of_table(tmp_path / f"part{i}.parquet", recipe, by_class)
        expected = sketch_of_table(tmp_path / "all.parquet", recipe, by_class)
        assert bits(merged) == bits(expected)
        assert merged.labels == ((0, 1, 2) if by_class else (-1,))
        assert merged.dropped == recipe.passes * 2 * 5


@pytest.mark.parametrize("rule", ["letterbox", "stretch", "short-side"])
@pytest.mark.parametrize("size", [640, (200, 512)])
def test_a_stream_is_resized_as_single_boxes_are(rule, size, tmp_path):
    table(0, 3000).write_parquet(tmp_path / "boxes.parquet")
    recipe = Resizing.of(rule, size).recipe
    seen = as_seen(read_boxes(str(tmp_path / "boxes.parquet")), recipe)
    expected, found = Sketch.of(seen.wh), sketch_of_table(tmp_path / "boxes.parquet", recipe)
    assert (found.count, found.dropped) == (expected.count, expected.dropped)
    np.testing.assert_allclose(found.sums.sum(0), expected.sums.sum(0), rtol=1e-6)
    moved = set(found.keys.tolist()) ^ set(expected.keys.tolist())  # within a rounding of an edge
    assert len(moved) < 0.01 * len(found)


def test_a_recipe_that_draws_is_refused(tmp_path):
    table(0, 10).write_csv(tmp_path / "boxes.csv")
    drawn = Recipe(resizes=letterbox(640).resizes, scale=(0.5, 2))
    with pytest.raises(ValueError, match="resized, not scaled or cropped"):
        sketch_of_table(tmp_path / "boxes.csv", drawn)
    table(0, 10).drop("width", "category_id").write_csv(tmp_path / "bare.csv")
    with pytest.raises(ValueError, match=r"bare.csv: has no column width, category_id"):
        sketch_of_table(tmp_path / "bare.csv", letterbox(640), by_class=True)


def test_a_stream_of_shares_is_not_taken_for_pixels(tmp_path):
    """The same table, read whole, is understood; a stream cannot know in time."""
    frame = table(0, 40)
    sides = [(pl.col(a) / pl.col(b)).alias(a) for a, b in (("w", "width"), ("h", "height"))]
    frame.filter(pl.col("w") > 0, pl.col("h") > 0).with_columns(sides).write_csv(tmp_path / "s.csv")
    assert "shares" in read_boxes(str(tmp_path / "s.csv")).said[0]
    for recipe in (None, letterbox(640)):
        with pytest.raises(ValueError, match=r"s.csv: no side is longer than 1: .* shares"):
            sketch_of_table(tmp_path / "s.csv", recipe)


def test_what_a_table_leaves_open_is_no_crowd_and_of_no_class(tmp_path):
    frame = table(0, 40).with_columns(
        iscrowd=pl.lit(None, pl.Boolean), category_id=pl.lit(None, pl.Int64)
    )
    frame.write_parquet(tmp_path / "open.parquet")
    found = sketch_of_table(tmp_path / "open.parquet", by_class=True)
    assert (found.count, found.dropped, found.labels) == (38, 2, (-1,))
    frame.clear().write_parquet(tmp_path / "none.parquet")
    assert sketch_of_table(tmp_path / "none.parquet").count == 0


def test_a_metadata_jsonl_is_hugging_face_s_also_as_a_shard(tmp_path):
    PIL.Image.new("RGB", (640, 480)).save(tmp_path / "a.png")
    objects = {"bbox": [[1, 1, 30, 20], [5, 5, 40, 60]], "categories": ["cat", "dog"]}
    row = {"file_name": "a.png", "width": 640, "height": 480, "objects": objects}
    file = tmp_path / "metadata.jsonl"
    file.write_text(json.dumps(row))
    found = count_shard(str(file), letterbox(640), by_class=True)
    assert bits(found.sketch) == bits(as_seen(read_boxes(str(file)), letterbox(640)).sketch(True))
    assert found.classes == {0: "cat", 1: "dog"}


def test_what_a_reader_has_to_say_of_a_shard_is_said(tmp_path, capsys):
    boxes = [(1, 1, 30, 20), (5, 5, -4, 9), (9, 9, 40, 60)]
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "bbox": box, "area": 9, "iscrowd": 0}
            for i, box in enumerate(boxes)
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(coco))
    PIL.Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    table(0, 50).write_csv(tmp_path / "b.csv")
    words = ["design", str(tmp_path / "*.[jc]s*"), "--on", "stream", "--restarts", "1", "--k", "3"]
    assert run(words) == 0
    shown = capsys.readouterr()
    assert "49 boxes in 2 shards" in shown.out  # two and 47
    assert f"kedge: {tmp_path / 'a.json'}: dropped: 1 x" in shown.err


def test_shards_of_every_kind_and_one_that_fails(tmp_path):
    table(0, 500).write_csv(tmp_path / "a.csv")
    table(1, 700).write_parquet(tmp_path / "b.parquet")
    (tmp_path / "c.csv").write_text("a,b\n1,2\n")
    recipe = letterbox(640)
    shards = [*shards_of(str(tmp_path / "*")), "toy"]
    seen = []
    counted = count_shards(
        shards, lambda shard: count_shard(shard, recipe, None), progress=seen.append
    )
    assert counted.boxes == {shards[0]: 497, shards[1]: 697, "toy": 1817}
    assert list(counted.failed) == [shards[2]]
    assert "x1, y1" in counted.failed[shards[2]]
    assert len(seen) == 4
    assert seen[-1].startswith("4 of 4: ")
    report = design_statistics(counted, DesignSettings(k=3, restarts=4))
    assert report.boxes == 3011
    assert report.dropped == 4
    assert report.shards == 3
    with pytest.raises(ValueError, match="no such file"):
        shards_of(str(tmp_path / "nothing*"))


def test_the_command_on_shards(tmp_path, capsys):
    for seed in range(3):
        table(seed, 400).write_parquet(tmp_path / f"s{seed}.parquet")
    out = tmp_path / "design.json"
    words = ["design", str(tmp_path / "s*.parquet"), "--on", "stream", "--restarts", "4"]
    assert run([*words, "--json", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "1,191 boxes in 3 shards, taken to stand evenly over the input" in shown
    assert "left out: 6 boxes without positive finite sides" in shown
    design = json.loads(out.read_text())
    assert design["boxes"] == 1191
    assert sum(len(x["shapes"]) for x in design["levels"]) == 9
    assert run(["design", "toy", "--anchors", "x"]) == 2
    capsys.readouterr()
    assert run([*words, "--split", "train"]) != 0
    assert "s0.parquet: is a single table without splits" in capsys.readouterr().err
    (tmp_path / "s9.parquet").write_bytes(b"PAR1")
    assert run(words) == 1  # the rest goes on; the status says so
    printed = capsys.readouterr()
    assert f"not counted: {tmp_path / 's9.parquet'}" in printed.err
    assert "1,191 boxes in 3 shards" in printed.out
    refused = ["--html", "x.html"], ["--in-use", "yolov3"], ["--baselines", "yolov3"]
    for more in (["--k", "auto"], ["--address", "auto"], *refused):
        assert run([*words[:2], *words[2:], *more]) == 2, more


def coco(path, names, boxes):
    """A file with an image of 100 x 100 px and boxes (class, w, h); classes in the order given."""
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 100}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": names.index(name), "bbox": (0, 0, w, h)}
            for i, (name, w, h) in enumerate(boxes)
        ],
    }
    path.write_text(json.dumps(document))


def test_classes_are_told_apart_by_name_whatever_their_order(tmp_path, capsys):
    """Two shards number their classes differently; one shape for all."""
    PIL.Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
    coco(tmp_path / "a.json", ["car", "bus"], [("car", 10, 10), ("car", 10, 10), ("bus", 40, 20)])
    coco(tmp_path / "b.json", ["bus", "car"], [("car", 10, 10), ("bus", 20, 20)])
    words = ["design", str(tmp_path / "*.json"), "--on", "stream", "--k", "1", "--image-size"]
    words += ["100", "--restarts", "1", "--json", str(tmp_path / "design")]
    assert run([*words, "--by", "class"]) == 0
    design = json.loads((tmp_path / "design").read_text())
    [(wide, high)] = [shape for level in design["levels"] for shape in level["shapes"]]

    def fit(w, h):
        both = min(w, wide) * min(h, high)
        return both / (w * h + wide * high - both)

    cars, buses = fit(10, 10), (fit(40, 20) + fit(20, 20)) / 2
    found = {part["name"]: part for part in design["parts"]}
    assert [(name, part["boxes"]) for name, part in found.items()] == [("bus", 2), ("car", 3)]
    assert found["car"]["mean_best_iou"] == pytest.approx(cars, abs=1e-5)
    assert found["bus"]["mean_best_iou"] == pytest.approx(buses, abs=1e-5)
    shown = capsys.readouterr().out.splitlines()
    [head] = [i for i, line in enumerate(shown) if "mean best IoU  IoU >= 0.5" in line]
    first = "car" if cars < buses else "bus"
    assert shown[head + 1].split()[:2] == [first, f"{found[first]['boxes']:.0f}"]

    assert run([*words, "--by", "source"]) == 0
    parts = json.loads((tmp_path / "design").read_text())["parts"]
    assert [part["name"] for part in parts] == [str(tmp_path / x) for x in ("a.json", "b.json")]
    assert [part["boxes"] for part in parts] == [3, 2]
    assert run(["design", str(tmp_path / "a.json"), "--by", "class"]) == 2
    assert "--by goes with --on" in capsys.readouterr().err


def test_numbers_of_a_table_are_its_classes(tmp_path):
    frame = table(0, 300)
    frame.with_columns(
        category_id=pl.when(pl.col("category_id") == 1).then(None).otherwise("category_id")
    ).write_parquet(tmp_path / "a.parquet")
    recipe = letterbox(640)
    counted = count_shards(
        [str(tmp_path / "a.parquet")],
        lambda shard: count_shard(shard, recipe, by_class=True),
        by="class",
    )
    boxes = {name: part.count for name, part in counted.parts.items()}
    assert boxes == {"category 0": 99, "category 2": 99, "no class": 99}
    with pytest.raises(ValueError, match="by_class=True"):
        count_shards(["toy"], lambda shard: count_shard(shard, recipe), by="class")


def test_an_npz_names_its_classes_where_it_numbers_them(tmp_path):
    boxes = {"x": [1.0, 2], "y": [1.0, 2], "w": [9.0, 9], "h": [9.0, 9], "image_id": [0, 0]}
    boxes |= {"width": [99, 99], "height": [99, 99], "category_names": ["cat", "dog"]}
    for ids, names in (([1, 1], {"dog"}), ([1, 5], {"dog", "category 5"})):
        np.savez(tmp_path / "a.npz", **boxes, category_id=np.array(ids))
        found = count_shard(str(tmp_path / "a.npz"), letterbox(640), by_class=True)
        assert set(found.classes.values()) == names
    np.savez(tmp_path / "a.npz", **boxes, category_id=["dog", "dog"])  # numbered as they sort
    found = count_shard(str(tmp_path / "a.npz"), letterbox(640), by_class=True)
    assert set(found.classes.values()) == {"category 0"}


def test_without_ray_it_says_what_to_install(tmp_path, capsys, monkeypatch):
    table(0, 50).write_csv(tmp_path / "a.csv")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(["design", str(tmp_path / "a.csv"), "--on", "ray"]) == 2
    assert "--on ray needs Ray: pip install 'kedge[ray]'" in capsys.readouterr().err
