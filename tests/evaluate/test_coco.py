"""COCO metrics against pycocotools, and what the input may look like."""

import contextlib
import io
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.evaluate import CocoAccumulator, coco_metrics

NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]


def random_set(seed, *, images=6, classes=4, size=(300, 500)):
    """Objects of all sizes, and detections that are jittered objects, strays and repeats.

    The last class never has an object; about one image in three has none, and one in three no
    detection.
    """
    rng = np.random.default_rng(seed)
    targets, predictions = [], []
    for image in range(images):
        n = rng.integers(0, 12) * rng.integers(0, 3) // 2
        side = np.exp(rng.uniform(np.log(4), np.log(250), (n, 2)))
        corner = rng.uniform(0, 1, (n, 2)) * np.array(size[::-1])
        boxes = np.concatenate([corner, corner + side], axis=1)
        labels = rng.integers(0, classes - 1, n)
        targets.append(
            {
                "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
                "labels": torch.tensor(labels),
                "iscrowd": torch.tensor(rng.uniform(size=n) < 0.2),
                "image_id": 100 + 7 * image,
                "original_size": size,
            }
        )
        pick = rng.integers(0, n, rng.integers(0, 40)) if n else np.zeros(0, np.int64)
        pick = pick[: len(pick) * rng.integers(0, 3) // 2]
        noise = (
            rng.normal(0, 0.12, (len(pick), 4)) * np.tile(side[pick], 2) if n else np.zeros((0, 4))
        )
        found = boxes[pick] + noise if n else noise
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        swap = rng.uniform(size=len(pick)) < 0.2
        predictions.append(
            {
                "boxes": torch.tensor(found, dtype=torch.float32),
                "labels": torch.tensor(
                    np.where(swap, rng.integers(0, classes, len(pick)), labels[pick])
                ),
                "scores": torch.tensor(rng.uniform(size=len(pick)).round(2), dtype=torch.float32),
            }
        )
    return predictions, targets


def by_pycocotools(predictions, targets, classes):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def xywh(box):
        box = np.asarray(box, dtype=np.float64)
        return [*box[:2], *(box[2:] - box[:2])]

    annotations, results = [], []
    for prediction, target in zip(predictions, targets, strict=True):
        for k, box in enumerate(target["boxes"]):
            x, y, w, h = xywh(box)
            area = float(target["area"][k]) if "area" in target else w * h
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": target["image_id"],
                    "category_id": int(target["labels"][k]) + 1,
                    "bbox": [x, y, w, h],
                    "area": area,
                    "iscrowd": int(target["iscrowd"][k]),
                }
            )
        for box, label, score in zip(
            *(prediction[k] for k in ("boxes", "labels", "scores")), strict=True
        ):
            results.append(
                {
                    "image_id": target["image_id"],
                    "category_id": int(label) + 1,
                    "bbox": xywh(box),
                    "score": float(score),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": t["image_id"]} for t in targets],
            "annotations": annotations,
            "categories": [{"id": c + 1} for c in range(classes)],
        }
        truth.createIndex()
        found = COCO()
        if results:
            found = truth.loadRes(results)
        else:
            found.dataset = dict(truth.dataset, annotations=[])
            found.createIndex()
        run = COCOeval(truth, found, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    ap = run.eval["precision"][:, :, :, 0, 2]
    return (
        run.stats,
        [ap[:, :, c].mean() for c in range(classes)],
        [ap[0, :, c].mean() for c in range(classes)],
    )


def same(ours, oracle):
    return math.isnan(ours) if oracle <= -1 else ours == pytest.approx(oracle, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_every_number_is_that_of_pycocotools(seed):
    predictions, targets = random_set(seed)
    ours = coco_metrics(predictions, targets, 4)
    stats, ap, ap50 = by_pycocotools(predictions, targets, 4)
    for name, oracle in zip(NAMES, stats, strict=True):
        assert same(ours[name], oracle), (name, ours[name], oracle)
    for c in range(4):
        assert same(ours["AP_per_class"][c], ap[c])
        assert same(ours["AP50_per_class"][c], ap50[c])


def test_more_than_a_hundred_detections_in_an_image_count_the_best_hundred():
    predictions, targets = random_set(5, images=2)
    repeat = {k: v.repeat(40, *[1] * (v.ndim - 1)) for k, v in predictions[0].items()}
    repeat["scores"] = torch.linspace(0, 1, len(repeat["scores"]))
    assert len(repeat["boxes"]) > 200
    ours = coco_metrics([repeat, predictions[1]], targets, 4)
    stats, _, _ = by_pycocotools([repeat, predictions[1]], targets, 4)
    assert all(same(ours[name], oracle) for name, oracle in zip(NAMES, stats, strict=True))


def test_the_area_a_target_declares_decides_its_size():
    """A 64 x 64 box is medium, but its mask may be small."""
    target = {
        "boxes": [[10, 10, 74, 74]],
        "labels": [0],
        "iscrowd": [0],
        "area": [900.0],
        "image_id": 3,
    }
    prediction = {"boxes": [[10, 10, 74, 74]], "labels": [0], "scores": [0.9]}
    ours = coco_metrics([prediction], [target], 1)
    assert ours["APs"] == pytest.approx(1)
    assert math.isnan(ours["APm"])
    stats, _, _ = by_pycocotools([prediction], [target], 1)
    assert all(same(ours[name], oracle) for name, oracle in zip(NAMES, stats, strict=True))


def test_perfect_detections_score_one_and_a_class_without_objects_is_nan():
    target = {"boxes": [[0, 0, 50, 20], [60, 60, 90, 70]], "labels": [0, 2]}
    prediction = dict(target, scores=[0.5, 0.6])
    ours = coco_metrics([prediction], [target], 3)
    assert ours["AP"] == pytest.approx(1)
    assert ours["AP_per_class"][0] == pytest.approx(1)
    assert math.isnan(ours["AP_per_class"][1])
    assert ours["objects_per_class"] == [1, 0, 1]


def test_no_detection_scores_zero_and_no_object_is_nan():
    target = {"boxes": torch.tensor([[0.0, 0, 50, 20]]), "labels": torch.tensor([0])}
    nothing = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0).long(),
        "scores": torch.zeros(0),
    }
    found = {"boxes": [[0, 0, 9, 9]], "labels": [1], "scores": [0.5]}
    empty = {"boxes": [], "labels": []}
    assert coco_metrics([nothing], [target], 2)["AP"] == 0
    assert math.isnan(coco_metrics([found], [empty], 2)["AP"])
    assert math.isnan(coco_metrics([], [], 2)["AP"])


def test_a_detection_on_a_crowd_is_neither_right_nor_wrong():
    boxes = [[0, 0, 40, 40], [100, 0, 300, 100]]
    target = {"boxes": boxes, "labels": [0, 0], "iscrowd": [0, 1]}
    inside = {"boxes": [*boxes[:1], [120, 10, 160, 50]], "labels": [0, 0], "scores": [0.5, 0.9]}
    outside = dict(inside, boxes=[*boxes[:1], [120, 210, 160, 250]])
    assert coco_metrics([inside], [target], 1)["AP"] == pytest.approx(1)
    assert coco_metrics([outside], [target], 1)["AP"] == pytest.approx(0.5)


def test_batches_and_processes_add_up_to_the_whole():
    predictions, targets = random_set(11)
    whole = coco_metrics(predictions, targets, 4)
    first, second = CocoAccumulator(4), CocoAccumulator(4)
    first.update(predictions[:2], targets[:2])
    first.update(predictions[2:4], targets[2:4])
    second.update(predictions[3:], targets[3:])  # image 3 was dealt to both
    first.merge(pickle.loads(pickle.dumps(second)))
    assert len(first) == 6
    np.testing.assert_equal(first.compute(), whole)
    first.reset()
    nameless = {"boxes": [], "labels": [], "scores": []}
    first.update([nameless], [nameless])
    with pytest.raises(ValueError, match="image_id"):
        second.merge(first)
    first.reset()
    assert len(first) == 0


def test_bfloat16_and_gradients_are_no_obstacle():
    target = {"boxes": torch.tensor([[0.0, 0, 64, 32]]), "labels": torch.tensor([0])}
    prediction = {
        "boxes": torch.tensor([[0.0, 0, 64, 32]], dtype=torch.bfloat16, requires_grad=True),
        "labels": torch.tensor([0]),
        "scores": torch.tensor([0.5], dtype=torch.float16),
    }
    assert coco_metrics([prediction], [target], 1)["AP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (
            {"boxes": [[0, 0, 1, 1]], "labels": [2], "scores": [1]},
            {},
            "prediction 0: label 2 is outside 0..1",
        ),
        ({"boxes": [[0, 0, 1, 1]], "labels": [0]}, {}, "prediction 0 has no 'scores'"),
        ({"boxes": [[0, 0, 1, 1]], "labels": [0], "scores": [1, 2]}, {}, "1 box but 2 scores"),
        ({"boxes": [[0, 0, 1, math.nan]], "labels": [0], "scores": [1]}, {}, "box 0 is not finite"),
        ({"boxes": [[0, 0, 1, 1]], "labels": [0], "scores": [math.nan]}, {}, "score 0 is NaN"),
        ({"boxes": [[0, 0, 1]], "labels": [0], "scores": [1]}, {}, r"shape \(n, 4\)"),
        ({}, {"boxes": [[0, 0, 1, 1]], "labels": [-1]}, "target 0: label -1"),
    ],
)
def test_a_broken_row_is_named(prediction, target, message):
    prediction = prediction or {"boxes": [], "labels": [], "scores": []}
    target = target or {"boxes": [], "labels": []}
    with pytest.raises(ValueError, match=message):
        coco_metrics([prediction], [target], 2)


def test_lists_of_different_length_and_repeated_images_are_refused():
    empty = {"boxes": [], "labels": [], "scores": [], "image_id": 4}
    with pytest.raises(ValueError, match="1 prediction for 2 targets"):
        coco_metrics([empty], [empty, empty], 1)
    with pytest.raises(ValueError, match="image_id 4 of target 1 was given before"):
        coco_metrics([empty, empty], [empty, empty], 1)
