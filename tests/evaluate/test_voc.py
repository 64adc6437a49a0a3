"""VOC average precision by hand and against a loop that follows the devkit word by word."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.evaluate import average_precision, voc_metrics

HITS = [True, False, True, True, False]


def test_by_hand():
    """4 objects: recalls .25 .25 .5 .75 .75, precisions 1 1/2 2/3 3/4 3/5, envelope 1 3/4 3/4 3/4
    3/5.

    Area: .25 * 1 + .25 * .75 + .25 * .75 = .625. Eleven points: 3 at 1, 5 at .75, 3 at 0 = 6.75 /
    11.
    """
    assert average_precision(HITS, 4) == pytest.approx(0.625)
    assert average_precision(HITS, 4, "11-point") == pytest.approx(6.75 / 11)
    assert average_precision(HITS, 4, "11-point") == pytest.approx(0.613636, abs=1e-6)
    assert average_precision(HITS, 4, "coco-101") == pytest.approx(0.628713, abs=1e-6)


def test_recall_of_exactly_a_tenth_reaches_that_point():
    """3 of 10 found: points 0, .1, .2 and .3 (in floating point 3 * .1 is more than .3)."""
    assert average_precision([True] * 3, 10, "11-point") == pytest.approx(4 / 11)


def test_without_objects_and_without_detections():
    assert math.isnan(average_precision([False], 0))
    assert average_precision([], 3) == 0
    with pytest.raises(ValueError, match="method"):
        average_precision([True], 3, "12-point")  # pyright: ignore


def test_the_second_detection_of_an_object_is_wrong_and_a_difficult_one_is_ignored():
    target = {
        "boxes": [[0, 0, 40, 20], [100, 0, 140, 20]],
        "labels": [0, 0],
        "difficult": [False, True],
    }
    boxes = [[0, 0, 40, 20], [1, 0, 41, 20], [100, 0, 140, 20], [100, 1, 140, 21]]
    once = {"boxes": boxes[1:2], "labels": [0], "scores": [0.9]}
    assert voc_metrics([once], [target], 1)["mAP"] == pytest.approx(1)
    every = {"boxes": boxes, "labels": [0] * 4, "scores": [0.5, 0.9, 0.8, 0.7]}
    assert voc_metrics([every], [target], 1)["mAP"] == pytest.approx(1)  # the repeat comes last
    stray = {
        "boxes": [[0, 50, 9, 60], *boxes],
        "labels": [0] * 5,
        "scores": [0.95, 0.5, 0.9, 0.8, 0.7],
    }
    assert voc_metrics([stray], [target], 1)["mAP"] == pytest.approx(0.5)
    as_crowd = {"boxes": target["boxes"], "labels": [0, 0], "iscrowd": [0, 1]}
    assert voc_metrics([stray], [as_crowd], 1)["mAP"] == pytest.approx(0.5)


def test_a_class_without_objects_leaves_the_mean_alone():
    target = {"boxes": [[0, 0, 40, 20]], "labels": [0]}
    prediction = {"boxes": [[0, 0, 40, 20], [0, 0, 4, 4]], "labels": [0, 1], "scores": [0.9, 0.8]}
    result = voc_metrics([prediction], [target], 3)
    assert result["mAP"] == 1
    assert result["AP_per_class"][0] == 1
    assert np.isnan(result["AP_per_class"][1:]).all()
    assert math.isnan(voc_metrics([], [], 2)["mAP"])


def devkit(predictions, targets, label):
    """Rows of (right, wrong) in the order of the scores, one detection at a time."""
    rows = [
        (score, image, box)
        for image, p in enumerate(predictions)
        for box, kind, score in zip(p["boxes"], p["labels"], p["scores"])
        if kind == label
    ]
    taken, hits = set(), []
    for _, image, (x1, y1, x2, y2) in sorted(rows, key=lambda row: -row[0]):
        best, which = 0.0, None
        for k, (a1, b1, a2, b2) in enumerate(targets[image]["boxes"]):
            if targets[image]["labels"][k] != label:
                continue
            inter = max(min(x2, a2) - max(x1, a1), 0) * max(min(y2, b2) - max(y1, b1), 0)
            overlap = inter / ((x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - inter)
            if overlap > best:
                best, which = overlap, k
        if best >= 0.5 and targets[image]["iscrowd"][which]:
            continue
        hits.append(best >= 0.5 and (image, which) not in taken)
        if hits[-1]:
            taken.add((image, which))
    count = sum(
        k == label and not c
        for t in targets
        for k, c in zip(t["labels"], t["iscrowd"], strict=True)
    )
    return average_precision(hits, count)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_random_sets_agree_with_the_devkit_loop(seed):
    rng = np.random.default_rng(seed)
    targets, predictions = [], []
    for _ in range(4):
        n, m = rng.integers(0, 6), rng.integers(0, 15)
        corner = rng.integers(0, 40, (n, 2))
        boxes = np.concatenate([corner, corner + rng.integers(4, 40, (n, 2))], axis=1)
        labels = rng.integers(0, 2, n)
        targets.append({"boxes": boxes, "labels": labels, "iscrowd": rng.uniform(size=n) < 0.2})
        pick = rng.integers(0, n, m * (n > 0)) if n else np.zeros(0, np.int64)
        found = boxes[pick] + np.tile(rng.integers(-5, 5, (len(pick), 2)), 2)
        scores = rng.permutation(1000)[: len(pick)] / 1000
        predictions.append({"boxes": found, "labels": labels[pick], "scores": scores})
    # distinct scores over the whole set, so that the order is not a matter of taste
    for image, prediction in enumerate(predictions):
        prediction["scores"] = prediction["scores"] + image * 1e-5
    ours = voc_metrics(predictions, targets, 2)["AP_per_class"]
    for label in range(2):
        assert ours[label] == pytest.approx(devkit(predictions, targets, label), nan_ok=True)
