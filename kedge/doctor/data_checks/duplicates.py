"""The same object labelled twice, and the same image filed twice."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, count, percent
from kedge.doctor.objects import Objects, most_affected

NEAR = 0.8


def check(context: Context) -> list[Finding]:
    """Boxes that repeat another of their class, boxes with two classes, identical image files."""
    objects = context.objects.fair
    first, second, iou = near_pairs(objects, NEAR)
    same = objects.label[first] == objects.label[second]
    exact = iou >= 1 - 1e-6
    found = [
        _repeated(context, objects, first[part], second[part], iou[part], exact)
        for part, exact in ((same & exact, True), (same & ~exact, False))
    ]
    found += [
        _two_classes(context, objects, first[~same], second[~same]),
        _same_files(context),
    ]
    return [finding for finding in found if finding is not None]


def near_pairs(
    objects: Objects, threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """All pairs of one image with IoU >= ``threshold``: rows (p,), (p,) and IoU (p,).

    Exact, and no image is compared with all: such boxes start within (1 - t) / t widths of each
    other, so in order of x1 only close neighbours are candidates.
    """
    order = np.lexsort((objects.xyxy[:, 0], objects.image))
    box, image = objects.xyxy[order].astype(np.float64), objects.image[order]
    reach = box[:, 0] + (1 - threshold) / threshold * (box[:, 2] - box[:, 0])
    here = np.arange(len(box))
    parts: list[tuple[NDArray, ...]] = []
    lag = 1
    while len(here):
        here = here[here + lag < len(box)]
        there = here + lag
        near = (image[here] == image[there]) & (box[there, 0] <= reach[here])
        here, there = here[near], there[near]
        iou = _iou(box[here], box[there])
        good = iou >= threshold
        rows = np.sort(np.stack([order[here[good]], order[there[good]]]), axis=0)
        parts.append((rows[0], rows[1], iou[good]))
        lag += 1
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    return (
        np.concatenate([p[0] for p in parts]),
        np.concatenate([p[1] for p in parts]),
        np.concatenate([p[2] for p in parts]),
    )


def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    side = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = side.clip(min=0).prod(axis=1)
    area = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1)
    return shared / np.maximum(area - shared, 1e-12)


def _repeated(
    context: Context,
    objects: Objects,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    iou: NDArray[np.float64],
    exact: bool,
) -> Finding | None:
    if len(iou) == 0:
        return None
    extra = _surplus(first, second)
    share = len(extra) / len(objects)
    many = share > (0.001 if exact else 0.01)
    one = len(extra) == 1
    what = "equal" if exact else "overlap"
    what += f"{'s' if one else ''} another box of {'its' if one else 'their'} class"
    what += "" if exact else f" by IoU > {NEAR}"
    return Finding(
        check="duplicate_boxes" if exact else "near_duplicate_boxes",
        severity="warning" if many else "note",
        symptom=f"{count(len(extra), 'box', 'boxes')} ({percent(share)}) {what}",
        evidence={
            "boxes": len(extra),
            "share": share,
            "median_iou": float(np.median(iou)),
            "worst_images": most_affected(context.names, objects.image[extra], what="boxes"),
        },
        cause="The same numbers stand there twice: annotations merged or saved twice."
        if exact
        else "One object drawn twice, or two that coincide: only a look at the images tells.",
        cure="Keep one box of each pair"
        + ("." if exact else ", after a look at the images.")
        + f" Suppression at an IoU of {NEAR} or less leaves one detection of a pair: the other box "
        "counts as missed.",
        predicted={
            "text": f"{count(len(objects) - len(extra), 'box stays', 'boxes stay')}; until then a "
            f"detector that suppresses so finds at most {percent(1 - share)} of them all",
            "boxes_left": len(objects) - len(extra),
            "best_recall_before": 1 - share,
        },
    )


def _surplus(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Boxes to leave out so that no pair is left. Those in the fewest pairs stay: of three copies
    one, of three boxes in a row, of which the outer two are no pair, these two."""
    row, pairs = np.unique(np.concatenate([first, second]), return_counts=True)
    rank = np.empty(len(row), np.int64)
    rank[np.argsort(pairs, kind="stable")] = np.arange(len(row))
    ends = np.searchsorted(row, np.stack([first, second], axis=1))
    ends = np.take_along_axis(ends, rank[ends].argsort(axis=1), axis=1)
    out = np.zeros(len(row), bool)
    for early, late in ends[np.argsort(rank[ends[:, 1]], kind="stable")].tolist():
        out[late] |= not out[early]
    return row[out]


def _two_classes(
    context: Context, objects: Objects, first: NDArray[np.int64], second: NDArray[np.int64]
) -> Finding | None:
    if len(first) == 0:
        return None
    names = context.data.classes
    pairs = np.sort(np.stack([objects.label[first], objects.label[second]], axis=1), axis=1)
    kinds, number = np.unique(pairs, axis=0, return_counts=True)
    top = np.argsort(-number, kind="stable")[:5]
    confused = [
        {"classes": [names[i] for i in kinds[k]], "pairs": int(number[k])} for k in top.tolist()
    ]
    rows = np.unique(second)
    share = len(rows) / len(objects)
    both = " and ".join(str(name) for name in confused[0]["classes"])  # pyright: ignore
    return Finding(
        check="conflicting_boxes",
        severity="warning" if share > 0.01 else "note",
        symptom=f"{count(len(rows), 'object')} ({percent(share)}) with two classes: pairs of boxes "
        f"with IoU > {NEAR}, most often {both}",
        evidence={
            "boxes": len(rows),
            "share": share,
            "classes": confused,
            "worst_images": most_affected(context.names, objects.image[rows], what="boxes"),
        },
        cause="One thing under two names, or two things that coincide: only a look at the images "
        "tells.",
        cure="Decide for one class where the two mean one object. Where both are right, use one "
        "score per class (sigmoid), not a softmax.",
        unpredicted="which of the two classes is right cannot be computed",
    )


def _same_files(context: Context) -> Finding | None:
    by_size: dict[int, list[int]] = defaultdict(list)
    for i, record in enumerate(context.data.records):
        if record.file is not None:
            by_size[record.file.stat().st_size].append(i)
    groups: dict[str, list[int]] = defaultdict(list)
    for rows in by_size.values():
        for i in rows if len(rows) > 1 else ():
            file = context.data.records[i].file
            assert file is not None
            groups[hashlib.sha256(file.read_bytes()).hexdigest()].append(i)
    same = [[context.names[i] for i in rows] for rows in groups.values() if len(rows) > 1]
    if not same:
        return None
    extra = sum(len(group) - 1 for group in same)
    pairs = "; ".join(" = ".join(group[:3]) for group in same[:3])
    return Finding(
        check="duplicate_images",
        severity="warning",
        symptom=f"{count(extra, 'image file')} the same as another, byte for byte: {pairs}"
        + (" ..." if len(same) > 3 else ""),
        evidence={
            "images": extra,
            "groups": same[:5],
            "worst_images": [{"image": g[0], "the same as": ", ".join(g[1:3])} for g in same[:5]],
        },
        cause=_labelled_alike(context, groups),
        cure="Remove the copies.",
        predicted={
            "text": count(len(context.data) - extra, "image stays", "images stay"),
            "images_left": len(context.data) - extra,
        },
    )


def _labelled_alike(context: Context, groups: Mapping[str, list[int]]) -> str:
    """Whether copies of an image have the same boxes."""
    records = context.data.records
    several = [rows for rows in groups.values() if len(rows) > 1]
    other = sum(
        any(not np.array_equal(records[rows[0]].boxes, records[i].boxes) for i in rows[1:])
        for rows in several
    )
    if not other:
        return "The files were copied, and their boxes with them."
    return (
        f"The boxes of {other} of {count(len(several), 'image')} differ from copy to copy: "
        "the labels contradict each other."
    )
