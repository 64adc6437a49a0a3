"""A box format planted in a file must be named; sound files must pass."""

import numpy as np
import pytest
from doctor.planted import H, W, sound

from kedge.data import read
from kedge.doctor import Context, examine
from kedge.doctor.data_checks import box_format
from kedge.doctor.data_checks.box_format import FORMATS, plausible, read_as, written


def context_of(folder):
    return Context(data=read(folder, "train", "drop"))


@pytest.mark.parametrize("form", FORMATS)
def test_written_and_read_as_are_inverse(form):
    boxes = np.concatenate(sound(30, seed=0))
    np.testing.assert_allclose(read_as(written(boxes, form), form), boxes, atol=1e-9)


def test_plausible_by_hand():
    boxes = np.array([[0, 0, 10, 10], [5, 5, 5, 9], [9, 0, 3, 4], [290, 0, 310, 9], [-1, 0, 9, 9]])
    size = np.tile([300.0, 200.0], (5, 1))
    assert plausible(boxes.astype(float), size).tolist() == [True, False, False, False, True]


@pytest.mark.parametrize("planted", ["xyxy", "cxcywh"])
def test_a_format_planted_in_a_coco_file_is_named(planted, coco_folder, one):
    boxes = [written(b, planted) for b in sound(30, seed=1)]
    found = one(box_format.check, context_of(coco_folder(boxes)), "box_format")
    assert found.severity == "error"
    assert found.evidence["looks_like"] == planted
    assert found.evidence["declared"] == "xywh"
    assert not found.evidence["mixed"]
    assert planted in found.cause
    assert found.predicted["plausible_before"] < 0.97
    assert found.predicted["plausible_after"] == 1


def test_the_cure_repairs_the_boxes(coco_folder, one):
    boxes = sound(30, seed=2)
    broken = [written(b, "cxcywh") for b in boxes]
    found = one(box_format.check, context_of(coco_folder(broken)), "box_format")
    for row, good in zip(broken[0], boxes[0]):
        names = dict(zip("abcd", row)) | {"W": W, "H": H}
        exec(found.cure, names)
        np.testing.assert_allclose(names["box"], written(good[None], "xywh")[0], atol=1e-6)


def test_normalised_boxes_in_a_coco_file(coco_folder, one):
    scale = np.array([W, H, W, H])
    boxes = [written(b, "cxcywh") / scale for b in sound(30, seed=3)]
    found = one(box_format.check, context_of(coco_folder(boxes)), "box_format")
    assert found.evidence["looks_like"] == "cxcywh, normalised"
    assert "Normalised" in found.cause
    assert found.predicted["plausible_after"] > 0.99
    names = dict(zip("abcd", boxes[0][0])) | {"W": W, "H": H}
    exec(found.cure, names)
    np.testing.assert_allclose(
        names["box"], written(read_as(boxes[0] * scale, "cxcywh"), "xywh")[0], rtol=1e-6
    )


def test_a_quarter_of_the_images_in_another_format(coco_folder, one):
    rng = np.random.default_rng(4)
    boxes = [
        written(b, "xyxy" if i % 4 == 0 else "xywh") for i, b in enumerate(sound(40, seed=rng))
    ]
    found = one(box_format.check, context_of(coco_folder(boxes)), "box_format")
    assert found.evidence["looks_like"] == "xyxy"
    assert found.evidence["mixed"]
    assert 7 <= found.evidence["images_hit"] <= 10
    hit = {row["image"] for row in found.evidence["worst_images"]}
    assert hit <= {f"{i:03d}.png" for i in range(0, 40, 4)}
    assert found.predicted["plausible_after"] == 1


def test_pixels_in_a_yolo_folder(tmp_path, one):
    from PIL import Image

    for part in ("images", "labels"):
        (tmp_path / part / "train").mkdir(parents=True)
    for i, boxes in enumerate(sound(8, seed=5)):
        Image.new("RGB", (W, H)).save(tmp_path / "images" / "train" / f"{i}.png")
        rows = [" ".join(["0", *(f"{v:.2f}" for v in row)]) for row in written(boxes, "cxcywh")]
        (tmp_path / "labels" / "train" / f"{i}.txt").write_text("\n".join(rows))
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [thing]\n")
    found = one(box_format.check, context_of(tmp_path), "box_format")
    assert found.evidence["looks_like"] == "cxcywh in pixels"
    assert found.evidence["boxes"] >= 45


@pytest.mark.parametrize("seed", range(5))
def test_sound_boxes_raise_no_alarm(seed, coco_folder, one):
    boxes = [written(b, "xywh") for b in sound(30, seed=seed)]
    assert one(box_format.check, context_of(coco_folder(boxes)), "box_format") is None


def test_boxes_that_overhang_are_not_taken_for_another_format(coco_folder, one):
    """A tenth of the boxes leaves the image at the right: an annotation tool, no mix-up."""
    boxes = [written(b, "xywh") for b in sound(30, seed=6)]
    for rows in boxes[::3]:
        rows[0, 2] = W - rows[0, 0] + 12
    assert one(box_format.check, context_of(coco_folder(boxes)), "box_format") is None


@pytest.mark.parametrize("name", ["bccd", "aerial_cars", "coco_permissive"])
def test_real_data_raise_no_alarm(name, shared_data, one):
    if not (shared_data / name).is_dir():
        pytest.skip(f"{name} is missing")
    assert one(box_format.check, context_of(shared_data / name), "box_format") is None


def test_other_checks_wait_until_the_format_is_right(coco_folder):
    """Clipping boxes of the wrong format would ruin them: nobody must recommend it."""
    boxes = [written(b, "xyxy") for b in sound(30, seed=7)]
    found = examine(context_of(coco_folder(boxes)))
    assert {f.check for f in found} == {"box_format"}
    assert "ask the doctor again" in found[0].cure


def test_a_part_in_another_format_hides_what_follows_from_it(coco_folder):
    rng = np.random.default_rng(8)
    boxes = [
        written(b, "xyxy" if i % 4 == 0 else "xywh") for i, b in enumerate(sound(40, seed=rng))
    ]
    found = {f.check for f in examine(context_of(coco_folder(boxes)))}
    assert {"box_format", "object_sizes"} <= found
    assert "boxes_outside" not in found
