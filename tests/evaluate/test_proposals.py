"""Proposal recall by hand and against pycocotools without categories."""

import contextlib
import io
import math

import numpy as np
import pytest

from kedge.evaluate import proposal_recall


def test_by_hand():
    """Two objects; the best proposal is exact, the second covers the other at IoU 0.64 (3 of 10
    steps).
    """
    target = {"boxes": [[0, 0, 100, 100], [200, 0, 300, 100]], "labels": [3, 9]}
    proposals = {"boxes": [[0, 0, 100, 100], [200, 0, 280, 80]], "scores": [0.9, 0.8]}
    recall = proposal_recall([proposals], [target], limits=(1, 10))
    assert recall["AR@1"] == pytest.approx(0.5)
    assert recall["AR@10"] == pytest.approx((1 + 0.3) / 2)
    assert recall["AR50@10"] == pytest.approx(1)
    assert recall["ARl@10"] == recall["AR@10"]
    assert math.isnan(recall["ARs@10"])


def test_nothing_proposed_nothing_there():
    nothing = {"boxes": [], "scores": []}
    assert proposal_recall([nothing], [{"boxes": [[0, 0, 9, 9]], "labels": [0]}])["AR@100"] == 0
    assert math.isnan(proposal_recall([nothing], [{"boxes": [], "labels": []}])["AR@100"])
    with pytest.raises(ValueError, match="limits"):
        proposal_recall([], [], limits=())


def test_random_sets_agree_with_pycocotools():
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(3)
    predictions, targets, annotations, results = [], [], [], []
    for image in range(8):
        n = int(rng.integers(0, 8))
        corner, side = rng.uniform(0, 300, (n, 2)), np.exp(rng.uniform(2, 5.5, (n, 2)))
        crowd = rng.uniform(size=n) < 0.2
        targets.append(
            {"boxes": np.hstack([corner, corner + side]), "labels": [0] * n, "iscrowd": crowd}
        )
        annotations += [
            {"image_id": image, "category_id": 1 + k % 2, "bbox": [*corner[k], *side[k]],
             "area": side[k].prod(), "iscrowd": int(crowd[k]), "id": len(annotations) + k + 1}
            for k in range(n)
        ]  # fmt: skip
        pick = rng.integers(0, n, 30) if n else np.zeros(0, np.int64)
        place = corner[pick] + rng.normal(0, 0.15, (len(pick), 2)) * side[pick]
        scores = rng.uniform(size=len(pick))
        predictions.append({"boxes": np.hstack([place, place + side[pick]]), "scores": scores})
        results += [
            {"image_id": image, "category_id": 1, "bbox": [*place[k], *side[p]], "score": scores[k]}
            for k, p in enumerate(pick)
        ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i} for i in range(8)],
            "annotations": annotations,
            "categories": [{"id": 1}, {"id": 2}],
        }
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(results), "bbox")
        run.params.useCats, run.params.maxDets = 0, [5, 20, 100]
        run.evaluate()
        run.accumulate()
    ours = proposal_recall(predictions, targets, limits=(5, 20, 100))
    for m, k in enumerate((5, 20, 100)):
        assert ours[f"AR@{k}"] == pytest.approx(run.eval["recall"][:, 0, 0, m].mean())
        assert ours[f"ARm@{k}"] == pytest.approx(run.eval["recall"][:, 0, 2, m].mean())
