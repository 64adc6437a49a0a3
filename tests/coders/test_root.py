"""RootCoder on paper: YOLOv1's places and roots."""

import pytest
import torch

from kedge.coders import RootCoder

CELL = torch.tensor(
    [[64.0, 32.0, 128.0, 64.0]]
)  # the cell of 64 x 32 px with its corner at (64, 32)
STRIDE = torch.tensor([[64.0, 32.0]])


def test_on_paper():
    """Centre (80, 56): a quarter and three quarters into the cell; 112 x 56 is a quarter of 448 x
    224, whose root is a half."""
    box = torch.tensor([[24.0, 28.0, 136.0, 84.0]])
    code = RootCoder().encode(CELL, box, STRIDE)
    assert code.tolist() == [[0.25, 0.75, 0.5, 0.5]]
    assert RootCoder().decode(CELL, code, STRIDE).tolist() == box.tolist()


def test_a_negative_root_is_the_same_side_and_a_wrong_code():
    code = torch.tensor([[0.25, 0.75, -0.5, 0.5]])
    assert RootCoder().decode(CELL, code, STRIDE).tolist() == [[24.0, 28.0, 136.0, 84.0]]
    goal = torch.tensor([[0.25, 0.75, 0.5, 0.5]])
    assert RootCoder().residual(code, goal).tolist() == [[0, 0, -1, 0]]


def test_cells_set_the_unit():
    box = torch.tensor([[24.0, 28.0, 136.0, 84.0]])
    assert RootCoder(cells=28).encode(CELL, box, STRIDE)[0, 2:].tolist() == [0.25, 0.25]
    with pytest.raises(ValueError, match="cells must be positive"):
        RootCoder(cells=0)
