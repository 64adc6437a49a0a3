"""LearnedShapes: parameters, gradients, checkpoints."""

import pytest
import torch

from kedge import Grid, Level, Targets
from kedge.anchors.learned import LearnedShapes
from kedge.assign import BestInCell
from kedge.coders import DeltaCoder

LEVELS = [Level(stride=16, shapes=[(20, 40), (30, 30)]), Level(stride=32, shapes=[(64, 80)])]
TARGETS = [
    {"boxes": torch.tensor([[10.0, 20, 60, 110], [40, 8, 52, 20]]), "labels": torch.tensor([0, 1])},
    {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
]


def test_the_grid_has_the_exponentials_of_the_parameters():
    anchors = LearnedShapes(LEVELS)
    grid = anchors((96, 128))
    assert torch.allclose(grid.shapes, torch.tensor([[20.0, 40], [30, 30], [64, 80]]))
    plain = Grid((96, 128), LEVELS)
    assert len(grid) == len(plain) == 6 * 8 * 2 + 3 * 4
    assert torch.allclose(grid.boxes(), plain.boxes(), atol=1e-4)


def test_the_gradient_of_the_size_residual_is_the_papers():
    """d/d log s of sum_j (delta + log s - log g)^2 / 2 is the sum of the residuals per shape."""
    anchors = LearnedShapes(LEVELS).double()
    targets = Targets.from_list(TARGETS)
    targets = Targets(
        boxes=targets.boxes.double(), labels=targets.labels, image=targets.image, batch_size=2
    )
    grid = anchors((96, 128))
    pairs = BestInCell()(grid, targets)
    index = grid.local(pairs.anchor)
    delta = torch.tensor([[0.3, -0.2], [0.1, 0.4]], dtype=torch.float64)
    code = DeltaCoder().encode(grid.boxes(index), targets.boxes[pairs.target])
    (0.5 * (delta - code[:, 2:]).square().sum()).backward()

    expected = torch.zeros(3, 2, dtype=torch.float64)
    row = grid.row_and_cell(index)[0]
    for i in range(len(pairs)):
        size = targets.boxes[pairs.target[i], 2:] - targets.boxes[pairs.target[i], :2]
        expected[row[i]] += delta[i] + anchors.log_shapes[row[i]].detach() - size.log()
    assert expected.abs().sum() > 0
    assert torch.allclose(anchors.log_shapes.grad, expected, atol=1e-12)


def test_the_offsets_carry_no_gradient_to_the_shapes():
    anchors = LearnedShapes(LEVELS)
    grid = anchors((96, 128))
    boxes = grid.boxes(torch.tensor([0, 50, 100]))
    code = DeltaCoder().encode(boxes, boxes.detach() + 5.0)
    code[:, :2].sum().backward()
    assert anchors.log_shapes.grad is None or not anchors.log_shapes.grad.any()


def test_fixed_anchors_are_the_same_module_without_a_gradient():
    anchors = LearnedShapes(LEVELS, learn=False)
    assert not anchors.learn
    assert not anchors((64, 64)).boxes().requires_grad
    assert "log_shapes" in anchors.state_dict()


def test_a_checkpoint_holds_the_shapes_and_is_checked():
    anchors, other = LearnedShapes(LEVELS), LearnedShapes(LEVELS)
    anchors.set_shapes_(torch.tensor([[5.0, 6], [7, 8], [9, 10]]))
    other.load_state_dict(anchors.state_dict())
    assert torch.equal(other.shapes, anchors.shapes)
    fewer = LearnedShapes(LEVELS[:1])
    with pytest.raises(ValueError, match=r"these anchors are 2 shapes .* got \(3, 2\)"):
        fewer.load_state_dict(anchors.state_dict())
    broken = {"log_shapes": torch.full((3, 2), torch.nan)}
    with pytest.raises(ValueError, match="positive and finite"):
        other.load_state_dict(broken)


def test_setting_shapes_is_checked():
    anchors = LearnedShapes(LEVELS)
    with pytest.raises(ValueError, match="positive and finite"):
        anchors.set_shapes_(torch.tensor([[5.0, 6], [7, 8], [9, 0]]))
    with pytest.raises(ValueError, match=r"3 shapes \(w, h\), got \(1, 2\)"):
        anchors.set_shapes_(torch.tensor([[5.0, 6]]))


def test_the_repr_names_the_shapes():
    assert "20 x 40, 30 x 30, 64 x 80" in repr(LearnedShapes(LEVELS))


def test_the_grids_of_the_last_image_sizes_are_remembered():
    anchors = LearnedShapes(LEVELS)
    sizes = [(32, 32 * (1 + i)) for i in range(70)]
    rows = [anchors(size).rows for size in sizes]
    assert len(anchors._grids) == 64
    assert anchors(sizes[-1]).rows is rows[-1]
    torch.testing.assert_close(anchors(sizes[0]).boxes(), Grid(sizes[0], LEVELS).boxes())
