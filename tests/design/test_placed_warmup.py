"""The warm-up by designs: what a design of all boxes chooses, from any start, and its state."""

import pytest
import torch

from kedge import Level, Targets
from kedge.anchors.learned import LearnedShapes
from kedge.anchors.queries.overlap import placed_iou
from kedge.boxes import sizes
from kedge.design import fit
from kedge.design.balance import class_weights
from kedge.design.placed_warmup import ROOM, PlacedWarmup, designed, placed_warmup
from kedge.detectors.annealed_warmup import AnnealedWarmup

STRIDES = (8.0, 16.0, 32.0)
COUNTS = (3, 2, 1)
CENTRES = torch.tensor([[6.0, 18], [21, 8], [45, 48]])


def batch(seed: int, images: int = 4, each: int = 5) -> Targets:
    """Objects of three kinds, a tenth of their size apart."""
    random = torch.Generator().manual_seed(seed)
    out = []
    for _ in range(images):
        kind = torch.randint(0, 3, (each,), generator=random)
        vary = (1 + 0.1 * torch.randn(each, 2, generator=random)).clamp(min=0.5)
        corner = torch.rand(each, 2, generator=random) * 100
        out.append({"boxes": torch.cat([corner, corner + CENTRES[kind] * vary], 1)})
    return Targets.from_list(out)


def pyramid(factor: float = 5.0) -> LearnedShapes:
    """Three levels of unequal numbers of shapes."""
    return LearnedShapes(
        [
            Level(stride=s, shapes=[(factor * s, factor * s)] * n)
            for s, n in zip(STRIDES, COUNTS, strict=True)
        ]
    )


def warmed(anchors: LearnedShapes, warmup, steps: int, **scene: int) -> list[torch.Tensor]:
    """The shapes after each of the steps."""
    after = []
    for step in range(steps):
        warmup.update(anchors, batch(step, **scene))
        after.append(anchors.shapes)
    return after


def recall(anchors: LearnedShapes, boxes: torch.Tensor) -> float:
    """The share of ``boxes`` with an anchor of an IoU of .5 on the grid."""
    return (placed_iou(anchors((160, 192)), boxes).amax(1) >= 0.5).float().mean().item()


def test_the_last_shapes_are_the_design_of_all_boxes_seen_whatever_the_start():
    ends = []
    for factor in (0.2, 5.0, 40.0):
        anchors = pyramid(factor)
        warmed(anchors, PlacedWarmup(steps=6), 6)
        ends.append(anchors.shapes)
    boxes = torch.cat([batch(step).boxes for step in range(6)])
    width, height = boxes[:, 2:].amax(0).ceil().int().tolist()
    design = fit(
        sizes(boxes),
        sum(COUNTS),
        "placed",
        image_size=(height, width),
        strides=STRIDES,
        per_level=COUNTS,
        restarts=8,
    )
    wanted = torch.cat([torch.tensor(level.shapes) for level in design.levels])
    for shapes in ends:
        torch.testing.assert_close(shapes, wanted)


def test_it_designs_for_the_first_objects_for_four_times_as_many_and_at_the_end():
    anchors = pyramid()
    after = warmed(anchors, PlacedWarmup(steps=7), 9)  # 20, 40, ... objects
    moved = [i for i in range(1, 9) if not torch.equal(after[i - 1], after[i])]
    assert moved == [3, 6]  # at 80 objects, and at 140, the last step; none behind it
    assert not torch.equal(after[0], pyramid().shapes)


def test_it_keeps_the_first_objects_and_is_done_when_it_has_enough():
    anchors, warmup = pyramid(), PlacedWarmup(steps=20)
    after = warmed(anchors, warmup, 8, images=2, each=700)  # 1400 of 4096 a step
    moved = [i for i in range(1, 8) if not torch.equal(after[i - 1], after[i])]
    assert moved == [2]
    assert int(warmup.seen) == ROOM
    kept = torch.cat([batch(i, images=2, each=700).boxes for i in range(3)])[:ROOM]
    assert torch.equal(warmup.boxes, kept)
    assert warmup.active  # the shapes rest, and are not yet the detector's own to move


def test_a_warmup_resumes_where_it_stopped():
    def run(stop: int | None) -> torch.Tensor:
        anchors, warmup = pyramid(), PlacedWarmup(steps=7)
        for step in range(7):
            if step == stop:
                saved = anchors.state_dict(), warmup.state_dict()
                anchors, warmup = pyramid(0.5), PlacedWarmup(steps=7)
                anchors.load_state_dict(saved[0])
                warmup.load_state_dict(saved[1])
            warmup.update(anchors, batch(step))
        return anchors.log_shapes

    assert torch.equal(run(None), run(2))
    assert torch.equal(run(None), run(5))


@pytest.mark.parametrize(
    "boxes",
    [torch.zeros(0, 4), torch.tensor([[5.0, 5, 5, 9]]), torch.tensor([[0.0, 0, 9, 9]])],
    ids=["empty", "no area", "crowd"],
)
def test_batches_without_usable_objects_change_nothing(boxes):
    anchors, warmup = pyramid(), PlacedWarmup(steps=2)
    before = anchors.shapes
    warmup.update(anchors, Targets.from_list([{"boxes": boxes, "iscrowd": torch.ones(len(boxes))}]))
    assert torch.equal(anchors.shapes, before)
    assert warmup.active
    warmup.update(anchors, batch(0))  # the last step, and the first with objects
    assert not torch.equal(anchors.shapes, before)
    assert not warmup.active


def test_one_object_is_enough_and_specks_that_no_cell_reaches_give_finite_shapes():
    for box in ([0.0, 0, 1, 7], [3.0, 3, 4, 4]):
        anchors, warmup = pyramid(), PlacedWarmup(steps=3)
        for _ in range(3):
            warmup.update(anchors, Targets.from_list([{"boxes": torch.tensor([box])}]))
        assert torch.isfinite(anchors.shapes).all()
        assert (anchors.shapes < 30).all()


def test_half_precision_boxes_are_designed_for_in_float32():
    anchors = pyramid()
    half = Targets.from_list([{"boxes": batch(0, images=1).boxes.half()}])
    PlacedWarmup(steps=1).update(anchors, half)
    assert anchors.log_shapes.dtype == torch.float32
    assert torch.isfinite(anchors.log_shapes).all()


def test_a_step_in_bfloat16_designs_in_float32():
    ends = []
    for mixed in (False, True):
        anchors = pyramid()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            PlacedWarmup(steps=1).update(anchors, batch(0, images=8))
        ends.append(anchors.shapes)
    assert torch.equal(*ends)


def test_shapes_are_in_order_of_area_within_a_level():
    anchors = pyramid()
    warmed(anchors, PlacedWarmup(steps=6), 6)
    for part in anchors.shapes.prod(1).split(COUNTS):
        assert (part.diff() >= 0).all()


def test_lines_as_wide_as_twenty_heights_get_anchors_on_the_cells_that_hold_them():
    """Where clustering of sizes alone leaves coarse levels shapes that their cells cannot place."""
    random = torch.Generator().manual_seed(0)

    least, range_ = torch.tensor([10.0, 8]), torch.tensor([190.0, 8])

    def lines() -> Targets:
        size = least + range_ * torch.rand(40, 2, generator=random)
        corner = torch.rand(40, 2, generator=random) * torch.tensor([100.0, 140])
        return Targets.from_list([{"boxes": torch.cat([corner, corner + size], 1)}])

    shown, unseen = [lines() for _ in range(40)], torch.cat([lines().boxes for _ in range(20)])
    reached = {}
    for kind in (PlacedWarmup, AnnealedWarmup):
        anchors = LearnedShapes([Level(stride=s, shapes=[(5 * s, 5 * s)] * 4) for s in STRIDES])
        placed = kind is PlacedWarmup
        warmup = kind(steps=40) if placed else kind(steps=40, num_shapes=len(anchors))
        for targets in shown:
            warmup.update(anchors, targets)
        reached[kind] = recall(anchors, unseen)
    assert reached[PlacedWarmup] > reached[AnnealedWarmup] + 0.1


def test_rare_sizes_get_a_shape():
    """Nine tenths of the objects are alike: one of four shapes is for the others."""
    anchors = LearnedShapes([Level(stride=s, shapes=[(5 * s, 5 * s)] * 2) for s in (8, 16)])
    random = torch.Generator().manual_seed(0)
    side = torch.tensor([40.0] * 360 + [9.0] * 40)[:, None]
    side = side * (1 + 0.2 * torch.rand(400, 2, generator=random))
    corner = torch.rand(400, 2, generator=random) * 100
    boxes = torch.cat([corner, corner + side], 1)
    anchors.set_shapes_(designed(anchors, boxes))
    assert recall(anchors, boxes[360:]) > 0.6
    assert recall(anchors, boxes[:360]) == 1


def test_where_classes_count_the_same_it_designs_for_their_mean():
    def shown(step: int) -> Targets:
        random = torch.Generator().manual_seed(step)
        side = torch.tensor([[50.0]] * 19 + [[12.0]]) * (
            1 + 0.2 * torch.rand(20, 2, generator=random)
        )
        corner = torch.rand(20, 2, generator=random) * 100
        label = torch.tensor([4] * 19 + [2])
        return Targets.from_list(
            [{"boxes": torch.cat([corner, corner + side], 1), "labels": label}]
        )

    small, last = {}, {}
    for num_classes in (None, 6):
        anchors, warmup = pyramid(), PlacedWarmup(steps=8, num_classes=num_classes)
        for step in range(8):
            if step == 5 and num_classes:  # what it remembers is in its state
                saved, warmup = warmup.state_dict(), PlacedWarmup(steps=8, num_classes=num_classes)
                warmup.load_state_dict(saved)
            warmup.update(anchors, shown(step))
        small[num_classes] = int((anchors.shapes.amax(1) < 25).sum())
        last[num_classes] = anchors.shapes
    assert small[None] < small[6]
    boxes = torch.cat([shown(step).boxes for step in range(8)])
    weights = class_weights(torch.cat([shown(step).labels for step in range(8)]))
    assert torch.equal(last[6], designed(pyramid(), boxes, weights))


def test_cells_that_are_no_squares_count_by_their_mean_side():
    coarse = Level(stride=32, shapes=[(9, 9)])
    oblong = LearnedShapes([Level(stride=(4, 16), shapes=[(9, 9)]), coarse])
    square = LearnedShapes([Level(stride=8, shapes=[(9, 9)]), coarse])
    boxes = torch.cat([batch(step).boxes for step in range(4)])
    assert torch.equal(designed(oblong, boxes), designed(square, boxes))


def test_on_one_level_shapes_are_clustered_as_they_come():
    assert isinstance(placed_warmup(pyramid(), 9), PlacedWarmup)
    one = placed_warmup(LearnedShapes([Level(stride=8, shapes=[(9, 9)])]), 9, 3)
    assert isinstance(one, AnnealedWarmup)
    assert (one.steps, one.num_classes) == (9, 3)


def test_it_needs_a_step():
    with pytest.raises(ValueError, match=r"PlacedWarmup\.steps must be at least 1, got 0"):
        PlacedWarmup(steps=0)
