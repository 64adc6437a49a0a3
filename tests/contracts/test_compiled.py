"""A strategy in a step that ``torch.compile`` compiles: one graph before it, one after it."""

import pytest
import torch
from contracts.test_assigners import every, make_grid, pack, predict, random_boxes
from torch._dynamo.testing import CompileCounter

from kedge import TAL, AutoAssign, Guaranteed, MaxIoU
from kedge.batches import Cached


def rows_of(found):
    return sorted(zip(found.anchor.tolist(), found.target.tolist()))


def check(assign):
    torch._dynamo.reset()
    grid, counter = make_grid(), CompileCounter()

    def step(features, targets, predictions):
        scaled = features * 2
        found = assign(grid, targets, predictions)
        return found, (scaled[found.anchor] + 1).sum()

    compiled = torch.compile(step, backend=counter)
    features = torch.rand(2 * len(grid), 4, requires_grad=True)
    for seed, count in enumerate((9, 2, 5)):  # objects an image: other numbers, the same graphs
        targets = pack(random_boxes(count, seed), random_boxes(2 * count, seed + 9))
        given = features, targets, predict(grid, 2, seed)
        (found, loss), (want, expected) = compiled(*given), step(*given)
        assert rows_of(found) == rows_of(want)
        torch.testing.assert_close(loss, expected)
        if seed == 0:
            assert counter.frame_count == 2
    assert counter.frame_count <= 3  # the second is made anew once, for any number of rows


OTHERS = [Guaranteed(strategy=MaxIoU(positive=0.9)), Cached(MaxIoU())]


@pytest.mark.parametrize("assign", [MaxIoU(), TAL(), AutoAssign(), *OTHERS], ids=repr)
def test_a_compiled_step_breaks_once(assign):
    check(assign)


@pytest.mark.slow
@every
def test_so_it_does_with_every_strategy(assign):
    check(assign)
