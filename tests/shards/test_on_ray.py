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

ray = pytest.importorskip("ray")

RECIPE = letterbox(640)
NAMES = ("category_names",)
T = TypeVar("T")


@pytest.fixture(scope="module")
def cluster():
    from kedge.shards.on_ray import OnRay

    try:
        ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    except Exception:  # Ray waits 30 seconds for itself, which a busy machine may need
        ray.shutdown()
        ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    yield OnRay()
    ray.shutdown()


def bits(counted) -> tuple:
    sketch = counted.sketch
    return sketch.keys.tobytes(), sketch.sums.tobytes(), sketch.dropped, counted.boxes


def test_design_and_doctor_say_the_same(cluster, tmp_path):
    for number in range(4):
        toy.write(tmp_path / f"s{number}", train=3 + number, val=1, size=(64, 96))
    (tmp_path / "broken.json").write_text("{")
    shards = shards_of(str(tmp_path / "*"))
    count = partial(count_shard, recipe=RECIPE)
    here, there = count_shards(shards, count), count_shards(shards, count, cluster)
    assert bits(there) == bits(here)
    assert there.failed == here.failed
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

    count = partial(count_shard, recipe=RECIPE)
    here = count_shards(shards, count)
    assert here.sketch.count > 30_000
    assert bits(count_shards(shards, partial(dying, count), cluster)) == bits(here)
    died.unlink()
    assert over_shards(shards, partial(dying, look), cluster) == over_shards(shards, look)
    assert died.exists()
