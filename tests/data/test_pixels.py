"""What the pixels mean: values wider than 8 bits, orientation, and images of great size."""

import numpy as np
import pytest
from PIL import Image

from kedge.data import read
from kedge.data.images import LIMIT, decode, look
from kedge.data.pixel_range import as_bytes, black_white

RAMP = np.linspace(0, 1, 40 * 30).reshape(30, 40)


def write(file, coco, *images):
    """A data set of images; each is (name, array or picture, options)."""
    for name, pixels, options in images:
        picture = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
        picture.save(file.parent / "images" / name, **options)
    rows = [{"id": i, "file_name": name} for i, (name, _, _) in enumerate(images)]
    return coco(images=rows, annotations=[])


@pytest.mark.parametrize(
    ("mode", "low", "high", "shown"),
    [
        ("F", 0, 1, (0, 1)),
        ("F", 0, 0.2, (0, 1)),
        ("F", 0, 255, (0, 255)),
        ("F", -3, 7, (-3, 7)),
        ("I;16", 0, 65535, None),
        ("I;16", 0, 4095, (0, 4095)),
        ("I;16", 0, 700, (0, 1023)),
        ("I", 0, 200, (0, 255)),
        ("I", 0, 65535, (0, 65535)),
        ("I", -5, 2**20, (-5, 2**20)),
    ],
)
def test_which_value_is_white(mode, low, high, shown):
    assert black_white(mode, low, high) == shown


def test_values_become_bytes_by_hand():
    values = np.array([[-1, 0, 0.5, 1, 2, np.nan, np.inf, -np.inf]], np.float32)
    assert as_bytes(values, (0.0, 1.0)).tolist() == [[0, 0, 128, 255, 255, 0, 255, 0]]
    assert as_bytes(np.array([[0, 256, 65535]], np.uint16), None).tolist() == [[0, 1, 255]]
    assert as_bytes(np.array([[7, 7]]), (7, 7)).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("float.tif", RAMP.astype(np.float32)),
        ("int.tif", (RAMP * 4095).astype(np.int32)),
        ("twelve.png", (RAMP * 4095).astype(np.uint16)),
        ("wide.tif", (RAMP * 1e6 - 5e5).astype(np.float32)),
    ],
)
def test_a_ramp_is_a_ramp_whatever_its_type(coco, name, pixels):
    file = write(coco(), coco, (name, pixels, {}))
    data = read(file)
    (finding,) = data.findings
    assert (finding.kind, finding.action) == ("pixel range", "kept")
    seen = decode(data.records[0])[:, :, 1]
    assert np.abs(seen - RAMP * 255).max() < 1.5


def test_16_bits_that_are_full_are_no_finding(coco):
    data = read(write(coco(), coco, ("full.png", (RAMP * 65535).astype(np.uint16), {})))
    assert data.findings == []
    assert np.abs(decode(data.records[0])[:, :, 0] - RAMP * 255).max() <= 1


def test_one_range_for_all_images_of_a_set(coco):
    """A dark image stays darker than a bright one."""
    dark, bright = ((RAMP * top).astype(np.uint16) for top in (900, 4000))
    data = read(write(coco(), coco, ("dark.png", dark, {}), ("bright.png", bright, {})))
    assert {record.black_white for record in data.records} == {(0.0, 4095.0)}
    assert decode(data.records[0]).max() == round(900 / 4095 * 255)
    assert data.findings[0].count == 2


def oriented(orientation, size=(40, 30)):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return Image.new("RGB", size), {"exif": exif}


def upright(coco, said, sizes=((40, 30),) * 8):
    file = coco()
    images = [(f"o{i + 1}.jpg", *oriented(i + 1, sizes[i])) for i in range(8)]
    write(file, coco, *images)
    rows = [{"id": i, "file_name": f"o{i + 1}.jpg"} for i in range(8)]
    for i, row in enumerate(rows):
        if said is not None:
            width, height = said(i, sizes[i])
            row |= {"width": width, "height": height}
    return read(coco(images=rows, annotations=[]))


def test_orientation_is_decided_for_the_set_as_a_whole(coco):
    stored = upright(coco, lambda i, size: size)
    assert [r.upright for r in stored.records] == [True] + [False] * 7
    turned = upright(coco, lambda i, size: size[::-1] if i >= 4 else size)
    assert all(r.upright for r in turned.records)
    assert [f.count for f in stored.findings] == [7]
    assert "the sizes of other images say so" in turned.findings[0].message


def test_without_a_proof_images_are_turned_upright_and_that_is_said(coco):
    data = upright(coco, None)
    assert all(r.upright for r in data.records)
    assert "no size proves it" in data.findings[0].message
    square = upright(coco, lambda i, size: size, sizes=((30, 30),) * 8)
    assert all(r.upright for r in square.records)


def test_square_images_follow_the_others(coco):
    sizes = [(40, 30)] * 6 + [(30, 30)] * 2
    data = upright(coco, lambda i, size: size, sizes=sizes)
    assert [r.upright for r in data.records] == [True] + [False] * 7


def huge(path, side=14_000):
    """A one-bit picture: a large scene in a small file."""
    Image.new("1", (side, side)).save(path)
    return path


def test_large_scenes_are_sized_without_decoding(coco):
    file = coco(images=[{"id": 1, "file_name": "scene.png"}], annotations=[])
    huge(file.parent / "images" / "scene.png")
    (record,) = read(file).records
    assert (record.width, record.height) == (14_000, 14_000)


def test_the_limit_can_be_raised_and_says_so(tmp_path, monkeypatch):
    file = huge(tmp_path / "scene.png", side=3_000)
    monkeypatch.setenv(LIMIT, "1000000")
    with pytest.raises(OSError, match=f"tiles, or set {LIMIT}=9000000"):
        look(file)
    monkeypatch.setenv(LIMIT, "9000000")
    assert look(file).width == 3_000
    monkeypatch.setenv(LIMIT, "many")
    with pytest.raises(OSError, match="number of pixels"):
        look(file)


def test_frames_after_the_first_are_said(coco):
    file = coco(images=[{"id": 1, "file_name": "a.gif"}], annotations=[])
    frames = [Image.new("L", (40, 30), value) for value in (0, 90, 255)]
    frames[0].save(file.parent / "images" / "a.gif", save_all=True, append_images=frames[1:])
    (finding,) = read(file).findings
    assert (finding.kind, finding.action) == ("frames after the first", "unused")


def test_a_pipe_in_the_place_of_an_image(coco):
    import os

    file = coco(images=[{"id": 1, "file_name": "a.jpg"}], annotations=[])
    image = file.parent / "images" / "a.jpg"
    image.unlink()
    os.mkfifo(image)
    with pytest.raises(ValueError, match=r"a\.jpg"):
        read(file)
    with pytest.raises(OSError, match="no regular file"):
        look(image)
