import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from kedge.data import eval_transforms, to_original, train_transforms
from kedge.data.transforms import ColourJitter, Fit, RandomPlace, as_boxes, colour


def sample(height, width, boxes, crowd=None):
    """A grey image with a white rectangle for every box, and its target."""
    image = torch.full((3, height, width), 60, dtype=torch.uint8)
    for x1, y1, x2, y2 in boxes:
        image[:, y1:y2, x1:x2] = 255
    count = len(boxes)
    target = {
        "boxes": as_boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), (height, width)),
        "labels": torch.arange(count),
        "iscrowd": torch.tensor(crowd or [False] * count, dtype=torch.bool),
        "image_id": 3,
        "original_size": torch.tensor([height, width]),
        "letterbox": torch.tensor([1.0, 1.0, 0.0, 0.0]),
    }
    return tv_tensors.Image(image), target


def test_letterbox_by_hand():
    """50 x 100 (H x W) into 80 x 120: scale 1.2, 60 x 120, 10 rows above and below."""
    image, target = eval_transforms((80, 120))(
        *sample(50, 100, [(0, 0, 100, 50), (10, 20, 30, 40)])
    )
    assert image.shape == (3, 80, 120)
    expected = torch.tensor([[0.0, 10, 120, 70], [12, 34, 36, 58]])
    assert torch.allclose(target["boxes"].as_subclass(Tensor), expected)
    assert target["letterbox"].tolist() == pytest.approx([1.2, 1.2, 0, 10])
    assert (image[:, :10] == 114).all()
    assert (image[:, 70:] == 114).all()


def test_letterbox_of_an_image_that_fits_changes_nothing():
    image, target = sample(40, 64, [(1, 2, 30, 20)])
    same, moved = eval_transforms((40, 64))(image, target)
    assert torch.equal(same, image)
    assert moved["boxes"].tolist() == target["boxes"].tolist()


def test_fit_without_enlarging_keeps_small_images():
    assert Fit((80, 120), pad=False, enlarge=False).placement(50, 100).outer == (50, 100)
    assert Fit((80, 120), pad=False, enlarge=False).placement(100, 300).outer == (40, 120)


@pytest.mark.parametrize("size", [(96, 160), (160, 96), (64, 64)])
@pytest.mark.parametrize("seed", range(8))
def test_boxes_stay_on_their_pixels(size, seed):
    """The brightest pixels lie where the box says, after any place, crop and flip."""
    torch.manual_seed(seed)
    image, target = sample(120, 200, [(60, 40, 140, 90)])
    image, target = train_transforms(size, scale=(0.7, 1.6), colour=0)(image, target)
    assert image.shape == (3, *size)
    (x1, y1, x2, y2) = target["boxes"][0].tolist()
    bright = (image[0].as_subclass(Tensor) > 200).nonzero()
    low, high = bright.min(0).values.tolist(), (bright.max(0).values + 1).tolist()
    assert [x1, y1, x2, y2] == pytest.approx([low[1], low[0], high[1], high[0]], abs=1.0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(20, 90),
    st.integers(20, 90),
    st.tuples(st.integers(16, 100), st.integers(16, 100)),
    st.integers(0, 2**31),
)
def test_the_way_back(height, width, size, seed):
    """to_original undoes every geometric transform for what was not cropped."""
    torch.manual_seed(seed)
    box = [2, 3, width - 4, height - 1]
    image, target = sample(height, width, [box])
    out, moved = train_transforms(size, scale=(0.3, 1.0), colour=0)(image, target)
    assert out.shape == (3, *size)
    back = to_original(moved["boxes"].as_subclass(Tensor), moved)
    assert back[0].tolist() == pytest.approx(box, abs=1e-2)
    out, moved = eval_transforms(size)(image, target)
    back = to_original(moved["boxes"].as_subclass(Tensor), moved)
    assert back[0].tolist() == pytest.approx(box, abs=1e-2)


def test_the_way_back_clips_to_the_image_and_takes_no_boxes():
    _, target = eval_transforms((80, 120))(*sample(50, 100, []))
    boxes = torch.tensor([[-5.0, 0.0, 200.0, 80.0]])
    assert to_original(boxes, target).tolist() == [[0, 0, 100, 50]]
    assert to_original(boxes, target, clip=False)[0, 0] < 0
    assert to_original(torch.zeros(0, 4), target).shape == (0, 4)


def test_flip_by_hand():
    image, target = sample(30, 40, [(0, 5, 10, 20)])
    out, moved = RandomPlace((30, 40), scale=(1, 1), flip=1.0)(image, target)
    assert moved["boxes"].tolist() == [[30, 5, 40, 20]]
    assert moved["letterbox"].tolist() == [-1, 1, 40, 0]
    assert torch.equal(out, F.horizontal_flip(image))


def test_what_a_crop_leaves_of_an_object():
    """Twice the size of the canvas, so a quarter is seen: outside is removed, a rest is crowd."""
    image, target = sample(20, 20, [(0, 0, 2, 2), (18, 18, 20, 20), (0, 0, 20, 20)])
    _, moved = RandomPlace((20, 20), scale=(2, 2), flip=0)(image, target)
    labels = moved["labels"].tolist()
    assert 2 in labels
    whole = labels.index(2)
    assert moved["boxes"][whole].tolist() == [0, 0, 20, 20]
    assert moved["iscrowd"][whole]  # a quarter is less than 0.3
    assert len(moved["boxes"]) == len(moved["labels"]) == len(moved["iscrowd"])


def test_an_object_under_a_pixel_becomes_a_crowd_region():
    image, target = sample(40, 40, [(0, 0, 1, 40), (5, 5, 30, 30)])
    _, moved = RandomPlace((20, 20), scale=(1, 1), flip=0)(image, target)
    assert moved["iscrowd"].tolist() == [True, False]


def test_crowd_regions_stay_crowd():
    image, target = sample(40, 60, [(5, 5, 30, 30)], crowd=[True])
    _, moved = train_transforms((40, 60))(image, target)
    assert moved["iscrowd"].tolist() == [True]


def test_an_image_without_objects():
    image, target = train_transforms((32, 48))(*sample(40, 60, []))
    assert image.shape == (3, 32, 48)
    assert target["boxes"].shape == (0, 4)


def test_inputs_are_not_changed():
    image, target = sample(40, 60, [(5, 5, 30, 30)])
    before = image.clone(), target["boxes"].clone(), target["letterbox"].clone()
    train_transforms((32, 48))(image, target)
    for one, other in zip(before, (image, target["boxes"], target["letterbox"])):
        assert torch.equal(one, other)


@pytest.mark.parametrize("factors", [(1.2, 1, 1), (1, 0.8, 1), (1, 1, 1.2), (0.9, 1.1, 0.85)])
def test_colour_is_torchvisions(factors):
    """Against adjust_* in turn, on float pixels that nothing clamps."""
    image = torch.rand(3, 32, 48) * 0.4 + 0.3
    image = image.repeat_interleave(4, 1).repeat_interleave(
        4, 2
    )  # so that our sampled mean is exact
    brightness, contrast, saturation = factors
    expected = F.adjust_contrast(F.adjust_brightness(image, brightness), contrast)
    expected = F.adjust_saturation(expected, saturation)
    # torchvision's grey weights are 0.2989, 0.587, 0.114, which sum to 0.9999
    assert torch.allclose(colour(image, *factors), expected, atol=3e-4)


def test_colour_rounds_and_clamps_uint8():
    image = torch.tensor([0, 100, 255], dtype=torch.uint8).repeat(3, 4, 1)
    assert colour(image, 1, 1, 1).equal(image)
    assert colour(image, 1.5, 1, 1)[0, 0].tolist() == [0, 150, 255]


def test_colour_jitter_zero_is_the_identity():
    image, target = sample(10, 20, [])
    assert torch.equal(ColourJitter(0.0)(image, target)[0], image)


@pytest.mark.parametrize(
    "make",
    [
        lambda: train_transforms((0, 5)),
        lambda: train_transforms((32, 32), scale=(0, 1)),
        lambda: train_transforms((32, 32), scale=(2, 1)),
        lambda: train_transforms((32, 32), flip=1.5),
        lambda: train_transforms((32, 32), colour=1.0),
        lambda: eval_transforms((32,)),  # type: ignore[arg-type]
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(ValueError, match="must be"):
        make()


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_a_crop_is_cut_from_the_image_at_the_size_of_scoring(seed):
    """100 x 200 scored at 50 x 100: half as large, of which 32 x 48 are trained on."""
    image, target = sample(100, 200, [(20, 10, 80, 60), (120, 30, 180, 90)])
    torch.manual_seed(seed)
    pipeline = train_transforms((50, 100), flip=0, scale=(1, 1), colour=0, crop=(32, 48))
    cut, moved = pipeline(image, target)
    assert cut.shape == (3, 32, 48)
    scale_x, scale_y, dx, dy = moved["letterbox"].tolist()
    assert (scale_x, scale_y) == (0.5, 0.5)
    assert -52 <= dx <= 0
    assert -18 <= dy <= 0
    whole = target["boxes"].as_subclass(Tensor)[moved["labels"]] * 0.5
    expected = whole + torch.tensor([dx, dy, dx, dy])
    expected = torch.minimum(expected.clamp(min=0), torch.tensor([48.0, 32, 48, 32]))
    assert torch.allclose(moved["boxes"].as_subclass(Tensor), expected)
    for x1, y1, x2, y2 in expected.round().int().tolist():
        if min(x2 - x1, y2 - y1) > 4:  # resizing blurs the edges
            assert (cut[:, y1 + 2 : y2 - 2, x1 + 2 : x2 - 2] > 250).all()
