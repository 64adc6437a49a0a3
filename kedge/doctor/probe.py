"""What a trained detector says about a few images: detections matched with objects, and errors."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kedge.data import Data, DetectionDataset, collate, eval_transforms
from kedge.detectors.detector import Detector
from kedge.doctor.objects import Objects, as_seen, pack
from kedge.doctor.records import RunRecords
from kedge.predict.detect import detect
from kedge.train.saved import load_run
from kedge.types import Targets

SORTS: tuple[str, ...] = ("background", "badly placed", "wrong class", "twice")
_IMAGES = 64
_LOSS_IMAGES = 16
_SCORE = 0.3  # detections below this are not held against a detector
_MATCH, _AWAY = 0.5, 0.1
_NEAR = 0.1  # a box that is off by half its size overlaps its object by 1/7


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """Detections against objects, in pixels of the network's input.

    ``objects``: the fair objects (n). ``found`` (n,): a detection of the class, above ``score``,
    overlaps the object by 0.5. ``boxes`` (p, 4) detections and ``truth`` (p, 4) the objects they
    mean (the best of the class with IoU >= 0.1), for signed errors. ``errors``: false positives by
    sort. ``background_share``: part of the classification loss that background anchors make; None
    where it was not computed.
    """

    images: int
    names: tuple[str, ...]
    objects: Objects
    found: NDArray[np.bool_]
    boxes: NDArray[np.float64]
    truth: NDArray[np.float64]
    true_positives: int
    errors: dict[str, int]
    score: float = _SCORE
    background_share: float | None = None

    @property
    def recall(self) -> float:
        """Share of the objects found."""
        return float(self.found.mean()) if len(self.found) else float("nan")

    @property
    def precision(self) -> float:
        """Share of the detections that are right; NaN without detections."""
        wrong = sum(self.errors.values())
        total = self.true_positives + wrong
        return self.true_positives / total if total else float("nan")


def probe(records: RunRecords, data: Data, seed: int = 0) -> Probe | None:
    """Run the detector of a run on some images of the data; None without weights or pixels."""
    if not records.has_weights:
        return None
    run = load_run(records.folder)
    part = few_images(data, seed)
    if not part.records or tuple(run.classes) != part.classes:
        return None
    found = detect(run.detector, part, run.config.image_size, batch_size=8, device=_cpu())
    share = _background_share(run.detector, part, run.config.image_size)
    return match(part, found, run.config.image_size, share)


def _cpu() -> torch.device:
    return torch.device("cpu")


def few_images(data: Data, seed: int = 0, count: int = _IMAGES) -> Data:
    """Up to ``count`` images that have pixels and objects, by seed."""
    chosen = [
        i
        for i, record in enumerate(data.records)
        if (record.file is not None or record.draw is not None) and (~record.crowd).any()
    ]
    if len(chosen) > count:
        picked = np.random.default_rng(seed).choice(len(chosen), count, replace=False)
        chosen = [chosen[i] for i in sorted(picked.tolist())]
    return replace(data, records=[data.records[i] for i in chosen], findings=[])


def match(
    data: Data,
    found: list[dict[str, Any]],
    image_size: tuple[int, int],
    background_share: float | None = None,
) -> Probe:
    """Detections ``found`` (a row per image of ``data``: boxes in pixels of the image, labels,
    scores) against the objects."""
    everything = pack(data.records)
    hits, boxes, truth = [np.zeros(0, bool)], [np.zeros((0, 4))], [np.zeros((0, 4))]
    errors = dict.fromkeys(SORTS, 0)
    right = 0
    for i, (record, row) in enumerate(zip(data.records, found, strict=True)):
        size = np.array([(record.width, record.height)], np.float64)
        mine = replace(everything.of_images(np.array([i])), size=size)
        dets = _packed(row, size)
        seen, seen_dets = as_seen(mine, image_size), as_seen(dets, image_size)
        order = np.argsort(-np.asarray(row["scores"], np.float64), kind="stable")
        score = np.asarray(row["scores"], np.float64)[order]
        keep = score >= _SCORE
        hit, count, wrong = _judge(
            seen, seen_dets.xyxy[order][keep].astype(np.float64), dets.label[order][keep]
        )
        hits.append(hit)
        right += count
        for name, number in wrong.items():
            errors[name] += number
        pair = _meant(seen.fair, seen_dets.xyxy[order], dets.label[order])
        boxes.append(seen_dets.xyxy[order][pair[0]].astype(np.float64))
        truth.append(seen.fair.xyxy[pair[1]].astype(np.float64))
    return Probe(
        images=len(data.records),
        names=tuple(r.name or f"image {r.image_id}" for r in data.records),
        objects=as_seen(everything, image_size).fair,
        found=np.concatenate(hits),
        boxes=np.concatenate(boxes),
        truth=np.concatenate(truth),
        true_positives=right,
        errors=errors,
        background_share=background_share,
    )


def _packed(row: dict[str, Any], size: NDArray[np.float64]) -> Objects:
    boxes = np.asarray(row["boxes"], np.float32).reshape(-1, 4)
    return Objects(
        xyxy=boxes,
        label=np.asarray(row["labels"], np.int64).reshape(-1),
        crowd=np.zeros(len(boxes), bool),
        image=np.zeros(len(boxes), np.int64),
        size=size,
    )


def _iou(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    from torchvision.ops import box_iou

    one, two = (torch.from_numpy(np.asarray(x, np.float64).reshape(-1, 4)) for x in (a, b))
    return box_iou(one, two).nan_to_num().numpy()


def _judge(
    objects: Objects, boxes: NDArray[np.float64], label: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], int, dict[str, int]]:
    """Greedy matching in order of score; false positives by sort. Detections on crowds count for
    nothing."""
    fair = objects.fair
    iou, crowd = _iou(boxes, fair.xyxy), _iou(boxes, objects.where(objects.crowd).xyxy)
    hit = np.zeros(len(fair), bool)
    wrong = dict.fromkeys(SORTS, 0)
    right = 0
    for i in range(len(boxes)):
        own = np.where(fair.label == label[i], iou[i], 0)
        free = np.where(hit, 0, own)
        if len(free) and free.max() >= _MATCH:
            hit[int(free.argmax())] = True
            right += 1
        elif crowd.shape[1] and crowd[i].max() >= _AWAY:
            continue
        else:
            wrong[_sort(own, iou[i])] += 1
    return hit, right, wrong


def _sort(own: NDArray[np.float64], iou: NDArray[np.float64]) -> str:
    if len(iou) == 0 or iou.max() < _AWAY:
        return "background"
    if own.max() >= _MATCH:
        return "twice"
    return "wrong class" if iou.max() >= _MATCH else "badly placed"


def _meant(
    objects: Objects, boxes: NDArray[Any], label: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every object the detection of its class that overlaps it most, by 0.1 at least, whatever
    its score: rows of detections and of objects."""
    if len(boxes) == 0 or len(objects) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    iou = _iou(boxes, objects.xyxy) * (label[:, None] == objects.label)
    best = iou.argmax(axis=0)
    good = iou.max(axis=0) >= _NEAR
    return best[good], np.flatnonzero(good)


@torch.no_grad()
def _background_share(detector: Detector, data: Data, image_size: tuple[int, int]) -> float | None:
    """Part of classification and objectness loss that comes from background anchors, on average of
    some images; None where the loss does not know it."""
    part = replace(data, records=data.records[:_LOSS_IMAGES])
    dataset = DetectionDataset(part, eval_transforms(image_size), cache=False)
    shares = []
    for i in range(len(dataset)):
        images, rows = collate([dataset[i]])
        share = detector.losses(images, Targets.from_list(rows)).background_share
        if share is not None:
            shares.append(float(share))
    return float(np.mean(shares)) if shares else None
