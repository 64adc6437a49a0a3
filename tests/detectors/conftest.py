"""Every test of a detector draws the same random weights, whatever ran before it."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
