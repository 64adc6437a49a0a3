"""Every strategy trains a detector, with its own likelihood where it has one."""

import pytest
import torch

from kedge.assign.by_name import STRATEGIES, strategy
from kedge.detectors import RetinaNet

SQUARES = [[(4.0 * s, 4.0 * s)] for s in (8, 16, 32, 64, 128)]
LIKELIHOOD = {
    "free_anchor": "positive",
    "mal": "positive",
    "autoassign": "centre",
    "dw": "negative",
}


@pytest.fixture
def batch():
    """Not square; one image without objects; a crowd; an object of one pixel."""
    random = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 96, 160, generator=random)
    boxes = torch.tensor([[10.0, 10, 60, 60], [80, 20, 150, 90], [5, 70, 6, 71], [70, 60, 159, 95]])
    full = {
        "boxes": boxes,
        "labels": torch.tensor([0, 1, 2, 0]),
        "iscrowd": torch.tensor([0, 0, 0, 1]),
    }
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    return images, [full, empty]


@pytest.mark.parametrize("name", STRATEGIES)
def test_trains_retinanet(name, batch):
    torch.manual_seed(0)
    model = RetinaNet(num_classes=3, shapes=SQUARES, width=16, depth=1, assign=strategy(name))
    losses = model.train()(*batch)
    assert LIKELIHOOD.get(name, "classification") in losses
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert torch.isfinite(total)
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    assert sum(float(g.abs().sum()) for g in gradients) > 0


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'atsss'; did you mean 'atss'\?; .*hungarian"):
        strategy("atsss")


def test_names_may_be_written_with_hyphens():
    assert type(strategy("Best-In-Cell")) is type(strategy("best_in_cell"))
