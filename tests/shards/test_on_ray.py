"""A Ray cluster of two local workers says what this machine says, bit for bit."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from kedge.data import toy
from kedge.design.network import letterbox
from kedge.design.statistics import count_shard, count_shards
from kedge.doctor.over_shards import look, merged
from kedge.shards import over_shards, shards_of
from kedge.shards.on_ray import OnRay, grow

ray = pytest.importorskip("ray")

RECIPE = letterbox(640)
NAMES = ("category_names",)
T = TypeVar("T")


@pytest.fixture(scope="module")
def cluster():
    try:
        ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    except Exception:  # Ray waits 30 seconds for itself, which a busy machine may need
        ray.shutdown()
        ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    yield OnRay()
    ray.shutdown()


def bits(counted) -> tuple:
    sketches = {"all": counted.sketch, **counted.parts}
    held = [(name, s.keys.tobytes(), s.sums.tobytes(), s.dropped) for name, s in sketches.items()]
    return held, list(counted.boxes.items()), counted.said, counted.failed


def test_no_more_than_a_few_are_held_of_each_level():
    """Every shard comes to the root once, whatever their number."""
    for number in range(1, 70):
        tree, joins = [], []

        def join(few: list[str], joins: list[int] = joins) -> str:
            joins.append(len(few))
            return " ".join(few)

        for shard in range(number):
            grow(tree, str(shard), join)
        assert sorted(int(s) for level in tree for held in level for s in held.split()) == list(
            range(number)
        )
        assert all(len(level) < 4 for level in tree)
        assert set(joins) <= {4}


def test_design_and_doctor_say_the_same(cluster, tmp_path):
    for number in range(4):
        toy.write(tmp_path / f"s{number}", train=3 + number, val=1, size=(64, 96))
    (tmp_path / "broken.json").write_text("{")
    shards = shards_of(str(tmp_path / "*"))
    count = partial(count_shard, recipe=RECIPE)
    for by in (None, "source"):
        here = count_shards(shards, count, by=by)
        assert bits(count_shards(shards, count, cluster, by=by)) == bits(here)
        assert len(here.failed) == 1
    looked = over_shards(shards, look)
    assert over_shards(shards, look, cluster) == looked
    assert len(merged(looked[0])) > 0


def parts(file: Path, folder: Path, images: int, number: int) -> list[str]:
    """The boxes of the first ``images`` images of a file, in so many files by image."""
    with np.load(file) as arrays:
        rows = {key: arrays[key] for key in arrays}
    for part, sizes in enumerate(np.array_split(rows["images"][:images], number)):
        mine = np.isin(rows["image_id"], sizes[:, 0])
        columns = {
            key: sizes if key == "images" else value if key in NAMES else value[mine]
            for key, value in rows.items()
        }
        np.savez(folder / f"s{part}.npz", **columns)
    return shards_of(str(folder / "*.npz"))


def test_real_boxes_in_shards(cluster, shared_data, tmp_path):
    """The first images of COCO 2017's val, by image."""
    shards = parts(shared_data / "coco2017_boxes" / "val2017.npz", tmp_path, 400, 4)
    count = partial(count_shard, recipe=RECIPE)
    here = count_shards(shards, count)
    assert here.sketch.count > 2000
    assert bits(count_shards(shards, count, cluster)) == bits(here)
    looked = over_shards(shards, look)
    assert over_shards(shards, look, cluster) == looked
    assert [len(found) for found in looked] == [4, 0]


def test_all_of_them_though_a_worker_dies(cluster, shared_data, tmp_path):
    shards = parts(shared_data / "coco2017_boxes" / "val2017.npz", tmp_path, 5000, 8)
    died = tmp_path / "died"

    def dying(work: Callable[[str], T], shard: str) -> T:
        if shard.endswith("s3.npz") and not died.exists():
            died.touch()
            os._exit(1)  # as a killed worker does
        return work(shard)

    count = partial(count_shard, recipe=RECIPE, by_class=True)
    here = count_shards(shards, count, by="class")
    assert here.sketch.count > 30_000
    assert len(here.parts) == 80
    assert bits(count_shards(shards, partial(dying, count), cluster, by="class")) == bits(here)
    died.unlink()
    assert over_shards(shards, partial(dying, look), cluster) == over_shards(shards, look)
    assert died.exists()
