"""The verdict: every number counted again, every sentence only where it is so."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.anchors.presets import Preset, PresetLevel, preset
from kedge.design import (
    BoxTable,
    Candidate,
    DesignSettings,
    MeanIoU,
    Placed,
    Points,
    Recall,
    Trial,
    Verdict,
    design_command,
    floors,
    fold_images,
    judge,
    notes,
)
from kedge.design.judging import certain, paired

SIZE = (256, 320)


def scene(images: int = 30, each: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes (n, 4) of 320 x 256 images, most of them small, and the image of each."""
    random = np.random.default_rng(seed)
    n = images * each
    wh = random.lognormal(2.9, 0.6, (n, 2)).clip(4, 200)
    corner = random.random((n, 2)) * (np.array(SIZE[::-1]) - wh)
    boxes = torch.from_numpy(np.concatenate([corner, corner + wh], 1)).float()
    return boxes, torch.arange(images).repeat_interleave(each)


def candidate(of: Preset, objective=None) -> Candidate:
    counts = torch.tensor([len(level.shapes) for level in of.levels])
    level = torch.arange(len(counts)).repeat_interleave(counts)
    placed = Placed(floors=floors(of.strides, SIZE, of.offset), level=level)
    return Candidate(torch.tensor(of.shapes), objective or MeanIoU(), placed)


def counted(boxes: torch.Tensor, of: Preset) -> dict[str, float]:
    """The four numbers, from all anchors of the grid and from plain loops."""
    grid = Grid(SIZE, [Level(stride=s, shapes=list(m), offset=of.offset) for s, m in of.levels])
    reached = box_iou(boxes, grid.boxes()).max(1).values >= 0.5
    best, within = [], []
    for w, h in (boxes[:, 2:] - boxes[:, :2]).tolist():
        overlap = [(min(w, a) * min(h, b), a * b) for a, b in of.shapes]
        best.append(max(o / (w * h + area - o) for o, area in overlap))
        ratios = [max(w / a, a / w, h / b, b / h) for a, b in of.shapes]
        within.append(min(ratios) < 4)
    return {
        "mean best IoU": float(np.mean(best)),
        "IoU >= 0.5": float(np.mean(np.array(best) >= 0.5)),
        "BPR": float(np.mean(within)),
        "placed recall": float(reached.float().mean()),
    }


COARSE = Preset(  # fits better than YOLOv3's, where no small object meets an anchor
    name="coarse",
    source="here",
    levels=(PresetLevel(32, ((12, 14), (20, 18), (24, 36), (40, 25))),),
    image_size=SIZE,
)


def verdict_on(boxes: torch.Tensor, image: torch.Tensor, new: Preset, old: Preset) -> Verdict:
    points = Points.of(boxes[:, 2:] - boxes[:, :2], centres=(boxes[:, :2] + boxes[:, 2:]) / 2)
    trial = Trial(points, image, candidate(new))
    return judge([trial], {old.name: candidate(old)}, in_use=old.name)


@pytest.mark.parametrize("seed", range(3))
def test_every_number_of_the_verdict_is_a_count(seed):
    boxes, image = scene(seed=seed)
    found = verdict_on(boxes, image, COARSE, preset("yolov3"))
    new, old = counted(boxes, COARSE), counted(boxes, preset("yolov3"))
    assert found.gain == pytest.approx(new["mean best IoU"] - old["mean best IoU"], abs=1e-5)
    assert (found.boxes, found.images) == (150, 30)
    assert (found.keep is None) == (found.gain >= max(0.002, certain(30) * found.error))
    assert [name for name, _, _ in found.worse] == [n for n in new if new[n] < old[n] - 1e-4]
    assert "placed recall" in [name for name, _, _ in found.worse]
    for name, after, before in found.worse:
        assert after == pytest.approx(new[name], abs=1e-5)
        assert before == pytest.approx(old[name], abs=1e-5)
        assert f"{name} {after:.4f} (was {before:.4f})" in found.text
    for row, counts in zip(found.rows, (new, old), strict=True):
        m = row.metrics
        mine = (m.mean_best_iou, m.recall, m.bpr, m.placed_recall)
        assert mine == pytest.approx(tuple(counts.values()), abs=1e-5)


def test_the_error_is_that_of_images_drawn_again():
    boxes, image = scene(60)
    found = verdict_on(boxes, image, COARSE, preset("yolov3"))
    wh = boxes[:, 2:] - boxes[:, :2]
    fit = [
        box_iou(torch.cat([-wh, wh], 1), torch.cat([-s, s], 1)).max(1).values
        for s in (torch.tensor(COARSE.shapes), torch.tensor(preset("yolov3").shapes))
    ]
    gain = (fit[0] - fit[1]).reshape(60, 5).numpy()
    random = np.random.default_rng(0)
    again = [gain[random.integers(60, size=60)].mean() for _ in range(4000)]
    assert found.error == pytest.approx(np.std(again), rel=0.06)


def test_shares_are_shares_without_what_breaks_ties():
    boxes, image = scene()
    points = Points.of(boxes[:, 2:] - boxes[:, :2], centres=(boxes[:, :2] + boxes[:, 2:]) / 2)
    new = candidate(COARSE, Recall())
    found = judge([Trial(points, image, new)], {})
    assert found.gain == pytest.approx(counted(boxes, COARSE)["IoU >= 0.5"], abs=1e-6)
    assert found.text.startswith("Nothing to compare with: recall 0.")


def test_without_a_set_as_small_the_table_is_not_denied():
    boxes, image = scene()
    wh = boxes[:, 2:] - boxes[:, :2]
    new = Candidate(torch.tensor([[40.0, 40.0]]), Recall())
    larger = {"yolov3": Candidate(torch.tensor(preset("yolov3").shapes), Recall())}
    found = judge([Trial(Points.of(wh), image, new)], larger)
    assert found.rival is None
    assert found.text.startswith("No other set is as small: recall 0.")


def test_folds_hold_out_every_image_once():
    image = torch.arange(13).repeat_interleave(2)
    parts = fold_images(image, 5, seed=3)
    assert torch.stack(parts).sum(0).tolist() == [1] * 26
    assert all(bool((part[::2] == part[1::2]).all()) for part in parts)
    assert len(fold_images(image[:6], 5)) == 3


def test_folds_are_judged_together():
    """Two parts with other shapes each: the row of the new set is over all boxes."""
    boxes, image = scene()
    points = Points.of(boxes[:, 2:] - boxes[:, :2], centres=(boxes[:, :2] + boxes[:, 2:]) / 2)
    part = image < 10
    yolo = preset("yolov3")
    trials = [
        Trial(points[part], image[part], candidate(COARSE)),
        Trial(points[~part], image[~part], candidate(yolo)),
    ]
    found = judge(trials, {"yolov3": candidate(yolo)})
    first, rest = counted(boxes[part], COARSE), counted(boxes[~part], yolo)
    pooled = {name: (50 * first[name] + 100 * rest[name]) / 150 for name in first}
    m = found.rows[0].metrics
    assert (m.mean_best_iou, m.recall, m.bpr, m.placed_recall) == pytest.approx(
        tuple(pooled.values()), abs=1e-5
    )
    assert (found.folds, found.images, found.boxes) == (2, 30, 150)
    assert "2 parts held out in turn" in found.text


def table(images: int) -> BoxTable:
    boxes, image = scene(images)
    return BoxTable(
        xyxy=boxes.numpy(),
        size=np.full((len(boxes), 2), SIZE, np.float32),
        image=image.numpy(),
        label=np.zeros(len(boxes), np.int64),
    )


@pytest.mark.parametrize("images", [1, 2, 3, 4, 7])
def test_few_images_are_judged_in_folds_or_not_at_all(images):
    settings = DesignSettings(
        k=3, image_size=SIZE, in_use="400x400,500x500", restarts=4, curve=False, baselines=()
    )
    report = design_command(table(images), settings)
    assert "inf" not in report.text()
    if images < 3:
        assert f"Too few images to judge ({images})" in report.text()
        return
    verdict = report.verdict
    assert verdict is not None
    assert (verdict.images, verdict.boxes, verdict.folds) == (images, 5 * images, min(images, 5))
    assert verdict.keep is None  # shapes larger than the input fit nothing
    assert "Use the new shapes" in report.text()


def test_student_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    for images in (*range(2, 40), 100, 1000):
        assert certain(images) == pytest.approx(stats.t.ppf(0.975, images - 1), rel=0.012)
    assert certain(1) == float("inf")
    mean, error, images = paired(torch.tensor([1.0]), torch.ones(1), torch.zeros(1))
    assert (mean, error, images) == (1, float("inf"), 1)


BASE = Verdict(
    rows=(),
    keep=None,
    in_use=True,
    gain=0.1,
    error=0.01,
    boxes=1234,
    objective="mean_iou",
    images=50,
    sure=2.0,
    least=0.002,
    rival="mine",
)
HELD = "on 1,234 held-out boxes in 50 images"
KEEP = "Keep what you have (mine): new shapes change the mean best IoU by"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {},
            f"Use the new shapes: mean best IoU +0.1000 ± 0.0100 {HELD}, compared with mine.",
        ),
        ({"keep": "mine", "gain": -0.1}, f"{KEEP} -0.1000 ± 0.0100 {HELD}."),
        ({"keep": "mine", "gain": 0.01}, f"{KEEP} +0.0100 ± 0.0100 {HELD}, which may be chance."),
        (
            {"keep": "mine", "gain": 0.001, "error": 1e-5},
            f"{KEEP} +0.0010 ± 0.0000 {HELD}, less than 0.002.",
        ),
        (
            {"keep": "p", "in_use": False, "gain": 0.001, "error": 0.001},
            "Published anchors do as well (p): new shapes change",
        ),
        (
            {"keep": "p", "in_use": False, "gain": 0.05, "error": 0.04},
            "Not shown to be better than published anchors (p): new shapes change",
        ),
        (
            {"images": 2, "keep": "mine"},
            "Too few images to judge (2): new shapes change the mean best IoU by +0.1000, "
            "compared with mine.",
        ),
        ({"folds": 4}, f"{HELD} (4 parts held out in turn), compared"),
        (
            {"worse": (("BPR", 0.9, 0.95),)},
            "compared with mine. Worse than with mine: BPR 0.9000 (was 0.9500).",
        ),
        ({"rival": None, "gain": 0.7}, f"Nothing to compare with: mean best IoU 0.7000 {HELD}."),
    ],
)
def test_sentences(change, text):
    assert text in replace(BASE, **change).text


def test_what_is_said_of_a_placed_recall_that_falls():
    boxes = table(40)
    settings = DesignSettings(
        k=3, image_size=SIZE, framework="yolov5", restarts=4, curve=False, in_use="yolov3"
    )
    report = design_command(boxes, settings)
    assert report.verdict is not None
    falls = any(name == "placed recall" for name, _, _ in report.verdict.worse)
    assert falls == ("--objective placed designs for placed recall" in report.verdict_text)
    assert falls == ("BPR is its own number" in report.verdict_text)
    assert falls  # three shapes, one to a level, against nine


def test_notes_by_hand():
    fine = PresetLevel(8.0, ((12.0, 10.0), (30.0, 30.0)))
    coarse = PresetLevel(32.0, ((6.0, 4.7), (700.0, 9.0)))
    found = notes.of_levels([coarse, PresetLevel(16.0, ()), fine], (480, 640), "mean_iou")
    assert found == (
        "larger than the input of 640 x 480 (w x h): 700.0 x 9.0 on stride 32",
        'smaller than a cell: 6.0 x 4.7 on stride 32. The objective "placed" designs for the grid.',
        "smaller than all shapes of a finer level: 6.0 x 4.7 on stride 32",
    )
    assert notes.of_levels([fine], (480, 640), "mean_iou") == ()
    assert notes.of_levels(None, None, "mean_iou") == ()
    assert not re.search("placed", notes.of_levels([coarse, fine], None, "placed")[0])


def test_a_pyramid_out_of_order_or_beyond_the_input_says_so():
    """Small objects that stand at the centres of the coarse cells, none at those of the fine."""
    corner = torch.cartesian_prod(torch.arange(10), torch.arange(8)) * 32.0 + 8
    boxes = torch.cat([corner, corner + 16], 1).numpy()
    seen = BoxTable(
        xyxy=boxes,
        size=np.full((len(boxes), 2), SIZE, np.float32),
        image=np.arange(len(boxes)) // 8,
        label=np.zeros(len(boxes), np.int64),
    )
    settings = DesignSettings(
        layout="pyramid", scales=1, ratios=1, strides=(8.0, 32.0), image_size=SIZE,
        objective="placed", restarts=16, compare=False,
    )  # fmt: skip
    report = design_command(seen, settings)
    assert report.design.pyramid is not None
    fine, coarse = report.design.pyramid.sizes
    said = " ".join(report.notes)
    assert ("smaller than all shapes of a finer level" in said) == (coarse < fine)
    assert ("larger than the input" in said) == (max(fine, coarse) > 256)
