import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from kedge.data import DetectionDataset, collate, eval_transforms, read, toy, train_transforms
from kedge.data.cache import PixelCache

SIZE = (64, 96)


@pytest.fixture(scope="module")
def data():
    return toy.data(images=10, size=(96, 128))


def equal(one, other):
    return torch.equal(one[0], other[0]) and all(
        torch.equal(torch.as_tensor(value), torch.as_tensor(other[1][key]))
        for key, value in one[1].items()
    )


def test_an_item(data):
    image, target = DetectionDataset(data)[0]
    assert (image.dtype, tuple(image.shape)) == (torch.uint8, (3, 96, 128))
    assert type(image) is type(target["boxes"]) is torch.Tensor
    assert np.array_equal(target["boxes"].numpy(), data.records[0].boxes)
    assert target["original_size"].tolist() == [96, 128]
    assert set(target) == {"boxes", "labels", "iscrowd", "image_id", "original_size", "letterbox"}


def test_an_item_depends_on_seed_epoch_and_index_only(data):
    one = DetectionDataset(data, train_transforms(SIZE), seed=5)
    other = DetectionDataset(data, train_transforms(SIZE), seed=5, cache=False)
    for dataset in (one, other):
        dataset.set_epoch(3)
    torch.manual_seed(1)
    first = [one[i] for i in range(10)]
    torch.manual_seed(2)
    torch.rand(7)
    again = [one[i] for i in reversed(range(10))][::-1]  # from the cache, in another order
    assert all(map(equal, first, again))
    assert all(map(equal, first, [other[i] for i in range(10)]))
    one.set_epoch(4)
    assert not any(equal(one[i], first[i]) for i in range(10))
    fresh = DetectionDataset(data, train_transforms(SIZE), seed=6)
    fresh.set_epoch(3)
    assert not any(equal(fresh[i], first[i]) for i in range(10))


def test_the_callers_random_state_is_left_alone(data):
    dataset = DetectionDataset(data, train_transforms(SIZE))
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    dataset[0]
    assert torch.equal(torch.rand(3), expected)


def test_workers_change_nothing_and_hear_of_new_epochs(data):
    dataset = DetectionDataset(data, train_transforms(SIZE))
    loader = DataLoader(
        dataset, batch_size=4, num_workers=2, collate_fn=collate, persistent_workers=True
    )
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        images = torch.cat([images for images, _ in loader])
        assert torch.equal(images, collate([dataset[i] for i in range(10)])[0])


def test_forked_workers_fill_one_cache(data):
    dataset = DetectionDataset(data, eval_transforms(SIZE))
    loader = DataLoader(
        dataset, batch_size=5, num_workers=2, collate_fn=collate, multiprocessing_context="fork"
    )
    images = torch.cat([images for images, _ in loader])
    here = [dataset._cache.get(i) for i in range(10)]  # decoded there, read here
    assert all(image is not None for image in here)
    seen = torch.from_numpy(np.stack(here)).permute(0, 3, 1, 2) / 255
    assert torch.allclose(seen, images)


@pytest.mark.slow
def test_spawned_workers_change_nothing(data):
    dataset = DetectionDataset(data, train_transforms(SIZE))
    loader = DataLoader(
        dataset, batch_size=5, num_workers=1, collate_fn=collate, multiprocessing_context="spawn"
    )
    dataset.set_epoch(7)
    images = torch.cat([images for images, _ in loader])
    assert torch.equal(images, collate([dataset[i] for i in range(10)])[0])


def test_it_can_be_pickled(data):
    dataset = DetectionDataset(data, train_transforms(SIZE))
    dataset[0]
    copy = DetectionDataset(data, pickle.loads(pickle.dumps(dataset.transform)))
    assert equal(copy[0], dataset[0])
    assert pickle.loads(pickle.dumps(dataset._cache)).get(0) is None


def test_a_foreign_v2_pipeline_works(data):
    transform = v2.Compose([v2.RandomHorizontalFlip(1.0), v2.ToDtype(torch.float32, scale=True)])
    image, target = DetectionDataset(data, transform)[1]
    assert image.dtype == torch.float32
    expected = 128 - data.records[1].boxes[:, [2, 0]]
    assert np.allclose(target["boxes"].numpy()[:, [0, 2]], expected)


def test_items_count_from_both_ends(data):
    dataset = DetectionDataset(data, eval_transforms(SIZE))
    assert equal(dataset[-1], dataset[9])
    with pytest.raises(IndexError):
        dataset[10]
    assert len(list(dataset)) == 10


def test_changing_an_item_does_not_change_the_cache(data):
    dataset = DetectionDataset(data, eval_transforms(SIZE))
    first = dataset[0][0].clone()
    dataset[0][0].zero_()
    dataset[0][1]["boxes"].zero_()
    assert torch.equal(dataset[0][0], first)
    assert np.array_equal(
        data.records[0].boxes, toy.data(images=1, size=(96, 128)).records[0].boxes
    )


def test_the_cache_keeps_what_fits_and_no_more():
    cache = PixelCache([(2, 3), (4, 5), (6, 7)], limit=90)
    images = [np.full((h, w, 3), h, np.uint8) for h, w in [(2, 3), (4, 5), (6, 7)]]
    assert cache.get(0) is None
    for i, image in enumerate(images):
        cache.put(i, image)
    assert np.array_equal(cache.get(0), images[0])
    assert np.array_equal(cache.get(1), images[1])
    assert cache.get(2) is None
    assert PixelCache([(2, 3)], limit=0).get(0) is None
    assert PixelCache([], limit=10).get(0) is None


def test_boxes_without_images_say_so(tmp_path):
    columns = {key: np.ones(1) for key in ("image_id", "x", "y", "w", "h")}
    np.savez(
        tmp_path / "b.npz",
        **columns,
        category_id=np.zeros(1, int),
        category_names=np.array(["a"]),
        images=np.array([[1, 40, 30]]),
    )
    with pytest.raises(ValueError, match="boxes only"):
        DetectionDataset(read(tmp_path / "b.npz"))[0]


def test_an_image_that_vanished_is_named(coco):
    data = read(coco([1, 1, 5, 5]))
    data.records[0].file.unlink()
    with pytest.raises(ValueError, match=r"a\.jpg: cannot be decoded"):
        DetectionDataset(data)[0]


@pytest.mark.parametrize(("orientation", "said"), [(6, (30, 40)), (6, (40, 30)), (3, (40, 30))])
def test_exif_orientation_is_honoured_unless_the_boxes_are_for_stored_pixels(
    coco, picture, orientation, said
):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    file = coco(images=[{"id": 7, "file_name": "e.png", "width": said[0], "height": said[1]}])
    path = picture(file.parent / "images" / "e.png", exif=exif)
    stored = np.asarray(Image.open(path))
    image = DetectionDataset(read(file))[0][0].permute(1, 2, 0).numpy()
    turns = {(6, (30, 40)): -1, (6, (40, 30)): 0, (3, (40, 30)): 2}[orientation, said]
    assert np.array_equal(image, np.rot90(stored, turns))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "1"])
def test_every_kind_of_image_becomes_rgb(coco, mode):
    from PIL import Image

    suffix = "tif" if mode == "CMYK" else "png"
    file = coco(images=[{"id": 7, "file_name": f"m.{suffix}"}])
    grey = np.full((30, 40), 204, np.uint8)  # a colour of the web palette
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(np.repeat(grey[:, :, None], 3, 2)).convert(mode)
    picture.save(file.parent / "images" / f"m.{suffix}")
    image = DetectionDataset(read(file))[0][0]
    assert image.shape == (3, 30, 40)
    tolerance = 255 if mode == "1" else 1  # dithered
    assert (image.float() - 204).abs().max() <= tolerance


def test_collate_by_hand():
    one = (torch.full((3, 2, 4), 255, dtype=torch.uint8), {"image_id": 1})
    two = (torch.full((3, 3, 2), 0.5), {"image_id": 2})
    images, targets = collate([one, two])
    assert images.shape == (2, 3, 3, 4)
    assert images.dtype == torch.float32
    assert (images[0, :, :2] == 1).all()
    assert (images[1, :, :, :2] == 0.5).all()
    assert (images[0, :, 2:] == 114 / 255).all()
    assert targets == [{"image_id": 1}, {"image_id": 2}]
    assert collate([one, two], multiple=8)[0].shape == (2, 3, 8, 8)


def test_collate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="empty batch"):
        collate([])
