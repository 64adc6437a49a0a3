"""Lists of anchors read as grids: torchvision's own, and lists that are none."""

import math

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList

from kedge import Grid, Level, MaxIoU, Targets
from kedge.anchors.measures import measured
from kedge.anchors.recognise import GridReader, NotAGrid, recognise

SIZES = [(64, 96), (224, 320), (333, 500), (800, 1344), (1333, 800)]


def anchors_of(generator, size, maps):
    images = ImageList(torch.zeros(1, 3, *size), [size])
    return generator(images, [torch.zeros(1, 1, *m) for m in maps])[0]


def maps_of(size, levels=5):
    maps = [tuple(math.ceil(side / 8) for side in size)]
    while len(maps) < levels:
        maps.append(tuple(math.ceil(side / 2) for side in maps[-1]))
    return maps


def retinanet(size):
    sizes = tuple((s, int(s * 1.26), int(s * 1.59)) for s in (32, 64, 128, 256, 512))
    return anchors_of(AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5), size, maps_of(size))


def test_two_levels_by_hand():
    grid = Grid((16, 24), [Level(stride=8, shapes=[(4, 6), (10, 2)]), Level(stride=16)])
    found = recognise(grid.boxes())
    first, second = found.levels
    assert (first.stride, first.offset, first.size) == ((8.0, 8.0), 0.5, (2, 3))
    assert first.shapes_tensor().tolist() == [[4, 6], [10, 2]]
    assert (second.stride, second.offset, second.size) == ((16.0, 16.0), 0.5, (1, 2))
    assert second.shapes_tensor().tolist() == [[16, 16]]
    assert torch.equal(found.points(), grid.points())


@pytest.mark.parametrize("size", SIZES)
def test_torchvisions_anchors_bit_for_bit(size):
    boxes = retinanet(size)
    found = recognise(boxes)
    assert torch.equal(found.boxes(), boxes)
    assert [level.size for level in found.levels] == maps_of(size)
    # its stride is image // map along each axis, its anchors stand at the corners
    wanted = [tuple(float(a // b) for a, b in zip(size, m)) for m in maps_of(size)]
    known = [w for w, m in zip(wanted, maps_of(size)) if min(m) > 1]
    assert [level.stride for level in found.levels][: len(known)] == known
    assert {level.offset for level in found.levels} == {0.0}


def test_ssds_default_boxes():
    boxes = DefaultBoxGenerator([[2], [2, 3], [2, 3], [2]], steps=[8, 16, 100, 300])
    listed = anchors_of(boxes, (300, 300), [(38, 38), (19, 19), (3, 3), (1, 1)])
    found = recognise(listed)
    assert [level.stride[0] for level in found.levels] == [8, 16, 100, 300]
    assert found.shapes_per_level == (4, 6, 6, 4)
    assert torch.equal(found.boxes(), listed)


def test_the_labels_are_those_of_the_list_not_of_the_arithmetic():
    boxes = retinanet((224, 320))
    shaken = boxes + 1e-4 * torch.rand(boxes.shape, generator=torch.Generator().manual_seed(0))
    found = recognise(shaken)
    assert torch.equal(found.boxes(torch.tensor([5, 70, 900])), shaken[[5, 70, 900]])
    targets = Targets.from_list([{"boxes": torch.tensor([[3.0, 3, 60, 70], [100, 9, 300, 200]])}])
    pairs = found.overlapping(targets, 0.4)
    assert torch.equal(pairs.boxes(), shaken[pairs.anchor])
    assert len(MaxIoU()(found, targets)) > 0


def test_levels_of_one_cell_are_told_apart_where_their_sizes_are_known():
    boxes = torch.tensor([[-4.0, -4, 4, 4], [-8, -8, 8, 8]])
    assert recognise(boxes).shapes_per_level == (2,)
    assert recognise(boxes, [1, 1]).shapes_per_level == (1, 1)


def test_lists_that_are_no_grid():
    boxes = retinanet((64, 96))
    moved = boxes.clone()
    moved[700, 2] += 0.1
    with pytest.raises(NotAGrid, match=r"a box is 0\.1 px from where"):
        recognise(moved)
    with pytest.raises(NotAGrid, match="in the middle of a row, 3 boxes off"):
        recognise(boxes[:-12])  # the last level, and three of the two cells before it
    with pytest.raises(NotAGrid, match="after 32 levels"):
        recognise(boxes[torch.randperm(len(boxes), generator=torch.Generator().manual_seed(0))])
    with pytest.raises(NotAGrid, match="no area"):
        recognise(torch.zeros(3, 4))
    with pytest.raises(NotAGrid, match=r"expected anchor boxes \(N, 4\)"):
        recognise(torch.zeros(0, 4))


def test_half_precision_moves_anchors_off_their_cells():
    with pytest.raises(NotAGrid):
        recognise(retinanet((800, 1344)).bfloat16())


def test_a_reader_remembers_the_last_lists():
    reader = GridReader()
    grids = [Grid((64, 32 * (2 + i)), [Level(stride=32, shapes=[(40, 30)])]) for i in range(70)]
    found = [reader(grid.boxes()) for grid in grids]
    assert len(reader._seen) == 64
    assert reader(grids[-1].boxes()).rows is found[-1].rows
    assert torch.equal(reader(grids[0].boxes()).boxes(), grids[0].boxes())


def test_a_reader_compares_every_list_whole():
    reader, boxes = GridReader(), retinanet((224, 320))
    first = reader(boxes)
    again = boxes.clone()
    assert reader(again).listed is again
    assert reader(again).rows is first.rows
    changed = boxes.clone()
    changed[1234] += 5  # both ends are as before
    with pytest.raises(NotAGrid):
        reader(changed)
    other = reader(retinanet((64, 96)))
    assert len(other) == len(retinanet((64, 96)))


def test_other_shapes_make_a_plain_grid():
    found = recognise(retinanet((64, 96)))
    wider = found.with_shapes(found.shapes * 2)
    assert type(wider) is Grid
    assert torch.equal(wider.shape_of(), found.shape_of() * 2)


def test_another_list_on_the_same_cells_keeps_nothing_of_the_list_before():
    grid = recognise(Grid((40, 56), [Level(stride=8, shapes=[(9, 7)])]).boxes())
    targets = Targets.from_list([{"boxes": torch.tensor([[3.0, 4, 12, 15]])}])
    grid.overlapping(targets, 0.1)
    measured(grid, "nwd", "a test")
    assert {"_every_box", "measured"} <= set(vars(grid))
    assert not {"_every_box", "measured"} & set(vars(grid.on(grid.boxes() + 1)))
