"""Picked in another way, values stay the same: whatever their type, shape and place in memory."""

import pytest
import torch
from torch.testing import assert_close

from kedge import rows

TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32, torch.int64)


@pytest.fixture(autouse=True, params=["few", "many"])
def other_way(request, monkeypatch):
    """Both sides of the number of rows from which values are picked in another way."""
    limit = 0 if request.param == "many" else 1 << 62
    monkeypatch.setattr(rows, "AS_ONE", limit)
    monkeypatch.setattr(rows, "BY_PLACE", limit)
    monkeypatch.setattr(rows, "BY_NUMPY", limit)


def values(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return (torch.randn(shape, generator=rng) * 50).to(dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(9,), (9, 1), (9, 2), (9, 3), (9, 4), (9, 20), (9, 3, 4)])
@pytest.mark.parametrize("count", [0, 1, 40])
def test_picked_rows_are_those_of_indexing(dtype, shape, count):
    given = values(shape, dtype)
    index = torch.randint(9, (count,), generator=torch.Generator().manual_seed(1))
    assert torch.equal(rows.pick(given, index), given[index])
    if len(shape) == 2:
        assert torch.equal(rows.pick_boxes(given, index), given[index])
    if len(shape) > 1:
        column = torch.randint(shape[1], (count,), generator=torch.Generator().manual_seed(2))
        assert torch.equal(rows.pick_each(given, index, column), given[index, column])


def test_what_lies_elsewhere_in_memory_is_picked_too():
    table = values((10, 6), torch.float32)
    index = torch.tensor([8, 0, 0, 3])
    for given in (table[:, 1:5], table.T[:4].T, table.flatten()[3:39].view(9, 4), table[1:, :2]):
        assert torch.equal(rows.pick(given, index), given[index])
        assert torch.equal(rows.pick_each(given, index, index % 2), given[index, index % 2])


def test_numbers_that_are_none_keep_every_bit():
    bits = torch.tensor([[0x7FC00001, -1, 0x7F800000, 1], [-0x80000000, 0, 5, 0x7FA00000]])
    given = bits.to(torch.int32).view(torch.float32)
    index = torch.tensor([1, 0, 1])
    assert torch.equal(rows.pick(given, index).view(torch.int32), bits.to(torch.int32)[index])


def test_a_gradient_comes_back():
    given = values((5, 4), torch.float64).requires_grad_()
    index, column = torch.tensor([4, 0, 4]), torch.tensor([1, 2, 1])
    rows.pick(given, index).sum().backward()
    assert_close(given.grad, torch.bincount(index, minlength=5)[:, None].expand(5, 4).double())
    given.grad = None
    rows.pick_each(given, index, column).sum().backward()
    expected = torch.zeros(5, 4, dtype=torch.float64)
    expected[4, 1], expected[0, 2] = 2, 1
    assert_close(given.grad, expected)


def test_a_row_that_does_not_exist_is_an_error():
    with pytest.raises(IndexError):
        rows.pick(values((3, 4), torch.float32), torch.tensor([0, 3]))


def test_rows_where_a_mask_is_true():
    assert rows.where(torch.tensor([False, True, True])).tolist() == [1, 2]
    assert rows.where(torch.zeros(0, dtype=torch.bool)).tolist() == []
    assert rows.both(torch.tensor([[True, True], [True, False]])).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("columns", [5, 23, rows.SHORT + 1])
def test_the_kth_largest_of_every_row(dtype, columns):
    values = torch.randn(40, columns, generator=torch.Generator().manual_seed(0)).to(dtype)
    values[0] = -torch.inf
    values[1, :3] = values[1, 3]  # ties
    values[2, 1:] = -torch.inf
    for k in (1, 3, columns if columns < 30 else 9):
        expected = values.sort(dim=1, descending=True).values[:, k - 1 : k]
        assert torch.equal(rows.kth_largest(values, k), expected)
        assert torch.equal(rows.kth_largest(values.T.contiguous().T, k), expected)
    assert rows.kth_largest(values[:0], 2).shape == (0, 1)
