"""Results files: they survive the round trip and are judged like our own predictions."""

import json
import math

import numpy as np
import pytest
import torch

from kedge.evaluate import (
    coco_metrics,
    image_places,
    judge,
    read_results,
    to_results,
    write_results,
)

PREDICTIONS = [
    {
        "boxes": torch.tensor([[10.0, 20, 60, 40], [5, 5, 30, 90]]),
        "labels": torch.tensor([0, 1]),
        "scores": torch.tensor([0.75, 0.5]),
    },
    {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long(), "scores": torch.zeros(0)},
]
TRUTH = {
    "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 3, "file_name": "b.jpg"}],
    "categories": [{"id": 90, "name": "boat"}, {"id": 12, "name": "buoy"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 12, "bbox": [10, 20, 50, 20], "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 90, "bbox": [5, 5, 25, 80], "area": 1000.0},
        {"id": 3, "image_id": 3, "category_id": 90, "bbox": [0, 0, 50, 50], "iscrowd": 1},
    ],
}


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(TRUTH))
    return path


def test_what_is_written_is_what_coco_expects(tmp_path):
    path = tmp_path / "new" / "results.json"
    write_results(path, to_results(PREDICTIONS, [7, 3], [12, 90]))
    assert json.loads(path.read_text()) == [
        {"image_id": 7, "category_id": 12, "bbox": [10, 20, 50, 20], "score": 0.75},
        {"image_id": 7, "category_id": 90, "bbox": [5, 5, 25, 85], "score": 0.5},
    ]
    assert read_results(path) == to_results(PREDICTIONS, [7, 3], [12, 90])
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]  # no leftovers


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, [])
    with pytest.raises(TypeError):
        write_results(path, [object()])  # pyright: ignore
    assert read_results(path) == []
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_a_foreign_file_is_judged_like_our_own_predictions(tmp_path, truth):
    path = tmp_path / "results.json"
    rows = [
        {
            "image_id": 7,
            "category_id": 12,
            "bbox": [10, 20, 50, 20],
            "score": 0.75,
            "segmentation": [],
        },
        {"image_id": 7, "category_id": 90, "bbox": [5, 5, 25, 85], "score": 0.5},
    ]
    path.write_text(json.dumps(rows))
    targets = [
        {
            "boxes": [[10, 20, 60, 40], [5, 5, 30, 85]],
            "labels": [0, 1],
            "area": [1000.0, 1000.0],
            "image_id": 7,
        },
        {"boxes": [[0, 0, 50, 50]], "labels": [1], "iscrowd": [1], "image_id": 3},
    ]
    verdict = judge(path, truth)
    assert verdict.pop("classes") == ["buoy", "boat"]
    np.testing.assert_equal(verdict, coco_metrics(PREDICTIONS, targets, 2))
    assert verdict["APs"] > 0
    assert math.isnan(verdict["APm"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "results.json is not a list of"),
        ('{"a": 1}', "results.json is not a list of"),
        (
            '[{"image_id": 7, "category_id": 12, "bbox": [1, 2, 3], "score": 1}]',
            r"bbox.*\[0\]|\[0\].*bbox",
        ),
        ('[{"image_id": 7, "category_id": 12, "bbox": [1, 2, 3, 4]}]', "score"),
        (
            '[{"image_id": 8, "category_id": 12, "bbox": [1, 2, 3, 4], "score": 1}]',
            "entry 0: unknown image_id 8",
        ),
        (
            '[{"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]',
            "unknown category_id 1",
        ),
    ],
)
def test_a_broken_file_is_named(tmp_path, truth, content, message):
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        judge(path, truth)


def test_repeated_ids_in_the_ground_truth_are_refused(tmp_path):
    path, results = tmp_path / "truth.json", tmp_path / "results.json"
    path.write_text(json.dumps({**TRUTH, "images": [{"id": 7}, {"id": 7}]}))
    write_results(results, [])
    with pytest.raises(ValueError, match="image id 7 appears twice"):
        judge(results, path)


def test_results_may_name_images_by_the_stems_of_their_files(tmp_path, truth):
    rows = [{"image_id": 7, "category_id": 12, "bbox": [10, 20, 50, 20], "score": 0.75}]
    by_id, by_stem = tmp_path / "ids.json", tmp_path / "stems.json"
    by_id.write_text(json.dumps(rows))
    by_stem.write_text(json.dumps([row | {"image_id": "a"} for row in rows]))
    assert repr(judge(by_stem, truth)) == repr(judge(by_id, truth))  # NaN is not NaN
    by_stem.write_text(json.dumps([row | {"image_id": "c"} for row in rows]))
    with pytest.raises(ValueError, match="entry 0: unknown image_id 'c'"):
        judge(by_stem, truth)


def test_what_a_results_file_may_call_an_image():
    assert image_places([5, 6], ["x/000139.jpg", "b.png"]) == {
        5: 0, 6: 1, "000139": 0, "b": 1, 139: 0,
    }  # fmt: skip
    # two files of one stem; a stem that is the id of another image
    assert image_places([1, 2], ["a/c.jpg", "b/c.jpg"]) == {1: 0, 2: 1}
    assert image_places([1, 2], ["2.jpg", "1.jpg"]) == {1: 0, 2: 1, "2": 0, "1": 1}
    assert image_places([1, 2], ["1.jpg", "3.jpg"]) == {1: 0, 2: 1, "1": 0, "3": 1, 3: 1}
