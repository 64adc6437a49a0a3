"""``detector.predict``: any form of an image in, boxes in that image's own pixels out."""

import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from kedge.detectors import Detector, Found, RetinaNet
from kedge.detectors.pictures import extra
from kedge.evaluate import to_results
from kedge.types import Detections

HEIGHT, WIDTH = 90, 160
BOX = [40, 20, 100, 50]


class FindsWhite(Detector):
    """Two detections in every image: the box around what is white, and the whole image."""

    def __init__(self):
        super().__init__(num_classes=3, strides=[8], shapes=None, multiple=1, smallest=8)
        self.anything = nn.Linear(1, 1)
        self.norm = nn.BatchNorm2d(3)
        self.seen = []

    def losses(self, images, targets, *, sizes=None, assign=None):
        raise AssertionError("predict never trains")

    def detect(self, images, sizes=None):
        assert not self.training
        assert not torch.is_grad_enabled()
        self.seen.append(images)
        rows = []
        for image in images:
            y, x = (image.mean(0) > 0.9).nonzero().T
            white = [x.min(), y.min(), x.max() + 1, y.max() + 1]
            whole = [0, 0, image.shape[2], image.shape[1]]
            rows.append(
                {
                    "boxes": torch.tensor([white, whole]).float(),
                    "labels": torch.tensor([2, 0]),
                    "scores": torch.tensor([0.75, 0.25]),
                }
            )
        return Detections.from_list(rows)


@pytest.fixture
def detector() -> FindsWhite:
    made = FindsWhite()
    made.class_names, made.category_ids = ("bar", "disc", "star"), (7, 11, 2)
    return made


def drawing() -> np.ndarray:
    """Black, with a white box."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    return pixels


def file_of(folder, image, name="a.png", **options):
    image.save(folder / name, **options)
    return folder / name


def forms(folder):
    pixels = drawing()
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    return {
        "path": file_of(folder, Image.fromarray(pixels)),
        "text": str(folder / "a.png"),
        "pillow": Image.fromarray(pixels),
        "pillow grey": Image.fromarray(pixels[..., 0]),
        "pillow palette": Image.fromarray(pixels).convert("P"),
        "bytes": pixels,
        "grey bytes": pixels[..., 0],
        "floats": pixels.astype(np.float64) / 255,
        "grey floats": pixels[..., 0].astype(np.float32) / 255,
        "flipped view": pixels[::-1][::-1],
        "tensor": tensor,
        "float tensor": tensor.float() / 255,
        "half tensor": tensor.half() / 255,
    }


@pytest.mark.parametrize("size", [None, (96, 96), (180, 320), (64, 320)])
def test_every_form_of_an_image_gives_the_same_boxes_in_its_own_pixels(detector, tmp_path, size):
    detector.input_size = size
    for name, image in forms(tmp_path).items():
        found = detector.predict(image)
        assert isinstance(found, Found), name
        # a letterbox of 96 pixels shrinks by 0.6: an edge is known to one of its pixels
        assert np.allclose(found.boxes[0], BOX, atol=2.0 if size else 0), name
        assert np.allclose(found.boxes[1], [0, 0, WIDTH, HEIGHT]), name
        assert found.labels.tolist() == [2, 0]
        assert (found.image == 0).all()
        assert found.batch_size == 1
        assert found.picture.dtype == torch.uint8
        assert np.array_equal(found.picture.permute(1, 2, 0), drawing()), name
        assert detector.seen[-1].shape == (1, 3, *(size or (HEIGHT, WIDTH)))
        assert detector.seen[-1].dtype == torch.float32


def test_a_letterbox_is_what_evaluation_does(detector, tmp_path):
    """The same pixels and the same boxes as ``kedge.predict``'s, bit for bit."""
    from kedge.predict.detect import detect
    from kedge.predict.image_files import unlabelled

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 200, (50, 77, 3), dtype=np.uint8)
    pixels[10:30, 20:60] = 255
    file = file_of(tmp_path, Image.fromarray(pixels))
    detector.input_size = (64, 96)
    data = unlabelled([file], ["a"] * 3, [1, 2, 3])
    wanted = detect(detector, data, (64, 96), device=torch.device("cpu"))[0]
    found = detector.predict(file)
    assert torch.equal(detector.seen[0], detector.seen[1])
    for key in ("boxes", "labels", "scores"):
        assert torch.equal(getattr(found, key), wanted[key])


def test_orientation_is_applied_to_files_and_pillow_images(detector, tmp_path):
    """Orientation 6: the camera was turned; width and height change places."""
    upright = drawing()
    stored = Image.fromarray(np.rot90(upright).copy())  # what orientation 6 turns back
    exif = Image.Exif()
    exif[0x0112] = 6
    file = file_of(tmp_path, stored, "turned.png", exif=exif)
    with Image.open(file) as opened:
        for image in (file, opened):
            found = detector.predict(image)
            assert found.boxes[0].tolist() == BOX
            assert found.picture.shape == (3, HEIGHT, WIDTH)


def test_several_images_give_a_list_of_any_sizes(detector):
    small = drawing()[10:60, 30:110]
    found = detector.predict([drawing(), small])
    assert [type(one) for one in found] == [Found, Found]
    assert found[0].boxes[0].tolist() == BOX
    assert found[1].boxes[0].tolist() == [10, 10, 70, 40]
    assert detector.predict(()) == []


def test_min_score_leaves_out_what_scores_less(detector):
    assert len(detector.predict(drawing(), min_score=0.3)) == 1
    assert len(detector.predict(drawing(), min_score=0.25)) == 2
    assert len(detector.predict(drawing(), min_score=1)) == 0
    with pytest.raises(ValueError, match=r"min_score must be in \[0, 1\], got 30"):
        detector.predict(drawing(), min_score=30)


def test_every_module_goes_back_to_the_mode_that_it_was_in(detector):
    detector.train()
    detector.norm.eval()  # frozen, as in a fine-tuning
    detector.predict(drawing())
    assert detector.training
    assert not detector.norm.training
    with pytest.raises(ValueError, match="no such image file"):
        detector.predict("/nonesuch.png")
    assert detector.training
    assert not detector.norm.training
    assert detector.norm.num_batches_tracked == 0


def test_what_is_no_image_is_said(detector, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not an image")
    for image, said in (
        (tmp_path / "none.png", "none.png: no such image file"),
        (broken, "broken.jpg: not an image that can be read"),
        (np.zeros((8, 8, 4), np.uint8), r"is \(H, W, 3\) or \(H, W\), not \(8, 8, 4\)"),
        (np.zeros((3, 8, 9), np.uint8), r"is \(H, W, 3\) or \(H, W\), not \(3, 8, 9\)"),
        (np.zeros((8, 8), np.int64), r"uint8, or float in \[0, 1\], not int64"),
        (np.full((8, 8), 255.0), "values from 255 to 255: divide bytes by 255"),
        (np.full((8, 8), np.nan), "values from nan to nan"),
        (np.zeros((0, 8), np.uint8), "has pixels"),
        (torch.zeros(1, 3, 8, 8), "pass several images as a list"),
        (torch.zeros(8, 8, 3), r"is \(3, H, W\)"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "not torch.int64"),
        (Image.new("I;16", (8, 8)), "more than 8 bits"),
        (17, "not int"),
    ):
        with pytest.raises(ValueError, match=said):
            detector.predict(image)
    with pytest.raises(ValueError, match="less than one cell"):
        detector.predict(np.zeros((4, 9), np.uint8))


def test_plot_draws_every_detection_and_save_writes_it_whole(detector, tmp_path):
    found = detector.predict(drawing())
    picture = found.plot()
    assert isinstance(picture, Image.Image)
    assert picture.size == (960, 540)  # enlarged six times
    edge, middle = picture.getpixel((100 * 6, 35 * 6)), picture.getpixel((70 * 6, 35 * 6))
    assert middle == (255, 255, 255)
    assert edge not in (middle, (0, 0, 0))
    # what scores little is drawn too: it was asked for
    assert picture.getpixel((0, 300)) != (0, 0, 0)
    for name, form in (("a.png", "PNG"), ("deep/b.JPG", "JPEG")):
        found.save(tmp_path / name)
        with Image.open(tmp_path / name) as written:
            written.load()
            assert (written.format, written.size) == (form, (960, 540))
    with pytest.raises(ValueError, match=r"no image format is called '.docx'"):
        found.save(str(tmp_path / "c.docx"))
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["a.png", "b.JPG"]


def test_coco_entries_are_those_of_kedge_evaluate(detector):
    found = detector.predict(drawing())
    entries = found.to_coco(image_id=5)
    assert entries[0] == {
        "image_id": 5,
        "category_id": 2,
        "bbox": [40.0, 20.0, 60.0, 30.0],
        "score": 0.75,
    }
    row = {"boxes": found.boxes, "labels": found.labels, "scores": found.scores}
    wanted = [
        {
            "image_id": result.image_id,
            "category_id": result.category_id,
            "bbox": list(result.bbox),
            "score": result.score,
        }
        for result in to_results([row], [5], [7, 11, 2])
    ]
    assert entries == wanted
    assert [e["category_id"] for e in found.to_coco(5, category_ids=[1, 2, 3])] == [3, 1]
    with pytest.raises(ValueError, match="label 2 has none among 2 ids"):
        found.to_coco(5, category_ids=[1, 2])
    detector.category_ids = None
    assert [e["category_id"] for e in detector.predict(drawing()).to_coco(5)] == [2, 0]


def test_supervision_is_asked_for_only_inside_the_method(detector, monkeypatch):
    found = detector.predict(drawing())
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ImportError, match="pip install supervision"):
        found.to_supervision()
    stub = types.ModuleType("supervision")
    stub.Detections = lambda **columns: columns
    monkeypatch.setitem(sys.modules, "supervision", stub)
    columns = found.to_supervision()
    assert columns["xyxy"].dtype == np.float32
    assert columns["xyxy"].shape == (2, 4)
    assert columns["xyxy"][0].tolist() == BOX
    assert columns["confidence"].tolist() == [0.75, 0.25]
    assert columns["class_id"].tolist() == [2, 0]
    assert columns["class_id"].dtype == np.int64
    assert columns["data"]["class_name"].tolist() == ["star", "bar"]


def test_names_are_numbers_where_a_detector_does_not_know_them(detector):
    detector.class_names = None
    assert detector.predict(drawing()).names == ["class 2", "class 0"]


def test_a_library_that_is_missing_is_named():
    with (
        pytest.raises(ImportError, match=r"drawing needs nonesuch.*pip install 'kedge\[report\]'"),
        extra("report", "drawing"),
    ):
        import nonesuch  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match=r"kedge\.nonesuch"), extra("report", "drawing"):
        import kedge.nonesuch  # noqa: F401


def test_a_detector_of_layers_predicts_and_learns_on():
    """Nothing is found by an untrained network at this score; shapes and modes are right."""
    torch.manual_seed(0)
    detector = RetinaNet(num_classes=2, width=16, depth=1)
    assert (detector.class_names, detector.input_size) == (None, None)
    found = detector.predict(drawing(), min_score=0.9)
    assert (len(found), found.to_coco(1)) == (0, [])
    assert found.plot().size == (960, 540)
    detector.input_size = (64, 64)
    everything = detector.predict(drawing())
    assert (everything.boxes[:, 2] <= WIDTH).all()
    assert detector.training
