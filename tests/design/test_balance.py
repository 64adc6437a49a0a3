"""Every class counts the same where shapes are chosen: by hand, in a design, over shards."""

import json

import numpy as np
import pytest
import torch

from kedge.cli import run
from kedge.design import BoxTable, DesignSettings, Points, design_command, fit
from kedge.design.balance import balanced, class_weights
from kedge.design.sketch import Sketch
from kedge.design.statistics import Counted, design_statistics

QUICK = {"curve": False, "image_size": (256, 320), "strides": (8.0, 16.0, 32.0), "restarts": 4}


def unequal(seed: int = 0, images: int = 120) -> BoxTable:
    """Of 20 objects of each image one is small, and of its own class, 7."""
    random = np.random.default_rng(seed)
    side = random.uniform(40, 70, (images * 20, 2))
    label = np.full(len(side), 2)
    label[::20] = 7
    side[::20] = random.uniform(9, 18, (images, 2))
    corner = random.uniform(0, 1, side.shape) * ([320, 256] - side)
    return BoxTable(
        xyxy=np.concatenate([corner, corner + side], 1).astype(np.float32),
        size=np.full((len(side), 2), [256, 320], np.float32),
        image=np.arange(len(side)) // 20,
        label=label,
    )


def test_weights_by_hand():
    # six objects of three classes: 6 / (3 * 3) = 2/3, 6 / (3 * 2) = 1, 6 / (3 * 1) = 2
    weights = class_weights([5, 5, 5, -1, -1, 9])
    assert np.allclose(weights, [2 / 3] * 3 + [1, 1, 2])
    assert weights.dtype == np.float32
    assert class_weights(torch.tensor([4, 4])).tolist() == [1, 1]
    assert len(class_weights([])) == 0
    assert balanced([1, 2], "objects") is None


def small(design) -> int:
    return int((design.shapes.amax(1) < 30).sum())


def test_a_rare_class_gets_its_share_of_the_shapes():
    table, found = unequal(), {}
    for balance in ("objects", "classes"):
        found[balance] = design_command(table, DesignSettings(k=9, balance=balance, **QUICK))
    objects, classes = found["objects"].design, found["classes"].design
    assert small(objects) < small(classes)
    assert small(classes) >= 3
    assert classes.boxes == pytest.approx(len(table))
    of_classes = [fit_of(classes, table.wh[table.label == label]) for label in (2, 7)]
    assert classes.mean_best_iou == pytest.approx(np.mean(of_classes), abs=1e-4)
    assert "every class counts the same" in found["classes"].text()
    assert "every class" not in found["objects"].text()
    assert found["classes"].to_dict()["balance"] == "classes"


def test_placed_recall_is_a_mean_over_classes():
    table, reached = unequal(), {}
    for balance in ("objects", "classes"):
        settings = DesignSettings(k=3, objective="placed", balance=balance, **QUICK)
        design = design_command(table, settings).design
        of_class = []
        for label in (2, 7):
            part = table[table.label == label]
            points = Points.of(part.wh, None, part.centres)
            best = [design.placed.similarity(points, w, h, i) for i, (w, h) in shapes_of(design)]
            of_class.append(float((torch.stack(best).amax(0) >= 0.5).float().mean()))
        reached[balance] = np.mean(of_class)
    assert design.score == pytest.approx(reached["classes"], abs=1e-4)
    assert reached["classes"] >= reached["objects"]


def shapes_of(design):
    return enumerate(design.shapes.unbind(0))


def fit_of(design, wh) -> float:
    best = np.zeros(len(wh))
    for w, h in design.shapes.tolist():
        shared = np.minimum(wh[:, 0], w) * np.minimum(wh[:, 1], h)
        best = np.maximum(best, shared / (wh.prod(1) + w * h - shared))
    return float(best.mean())


def test_the_verdict_is_a_mean_over_classes_too():
    table = unequal()
    settings = DesignSettings(k=3, balance="classes", in_use=((55.0, 55.0),), **QUICK)
    verdict = design_command(table, settings).verdict
    of_yours = next(row for row in verdict.rows if row.shapes == 1)
    one = torch.tensor([[55.0, 55.0]])
    held = fit(table.wh, 1)  # by objects the single shape is all right
    assert held.mean_best_iou > 0.6
    shared = np.minimum(table.wh, one.numpy()).prod(1)
    iou = shared / (table.wh.prod(1) + 55 * 55 - shared)
    mean = np.mean([iou[table.label == label].mean() for label in (2, 7)])
    assert of_yours.metrics.mean_best_iou == pytest.approx(mean, abs=0.02)  # of a fifth
    assert mean < 0.5


def test_over_shards_classes_weigh_the_same_as_in_one_table():
    table = unequal()
    parts = {str(c): Sketch.of(table.wh[table.label == c]) for c in (2, 7)}
    counted = Counted(sketch=sum(parts.values(), Sketch.empty()), boxes={"a": 1}, parts=parts)
    settings = DesignSettings(k=6, balance="classes", **QUICK)
    found = design_statistics(counted, settings)
    weighted = Sketch.of(table.wh, weight=class_weights(table.label))
    wanted = fit(weighted, 6, image_size=(256, 320), strides=(8.0, 16.0, 32.0), restarts=4)
    assert torch.allclose(found.design.shapes, wanted.shapes, rtol=1e-3)
    assert small(found.design) == 3
    assert found.boxes == pytest.approx(len(table))


def test_the_command_says_what_counts_and_what_it_needs(tmp_path, capsys):
    table = unequal()
    x1, y1, x2, y2 = table.xyxy.T
    np.savez(
        tmp_path / "boxes.npz",
        **{"x": x1, "y": y1, "w": x2 - x1, "h": y2 - y1, "image_id": table.image},
        width=table.size[:, 1],
        height=table.size[:, 0],
        category_id=table.label,
    )
    file, out = str(tmp_path / "boxes.npz"), tmp_path / "design.json"
    asked = ["design", file, "--k", "6", "--image-size", "256", "320", "--balance", "classes"]
    assert run([*asked, "--json", str(out)]) == 0
    assert "every class counts the same" in capsys.readouterr().out
    assert sum(w < 30 for w, _ in json.loads(out.read_text())["shapes"]) == 3
    assert run([*asked, "--on", "stream"]) == 2
    assert "--by class, which tells them apart" in capsys.readouterr().err
    assert run([*asked, "--on", "stream", "--by", "class"]) == 0
    assert "every class counts the same" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "more"),
    [([], ("", "")), (["--on", "stream", "--by", "class"], (",category_id", ","))],
)
def test_boxes_without_classes_are_refused(words, more, tmp_path, capsys):
    file = tmp_path / "boxes.csv"
    rows = ["1,2,30,40,99,99,1" + more[1], "5,5,9,9,99,99,2" + more[1]]
    file.write_text("\n".join(["x,y,w,h,width,height,image_id" + more[0], *rows]))
    assert run(["design", str(file), "--k", "2", "--balance", "classes", *words]) == 2
    assert "says no classes that could count the same" in capsys.readouterr().err
