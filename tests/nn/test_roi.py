"""Pooling of regions: places are exact, whatever the precision of the features."""

import pytest
import torch

from kedge.nn import RoIPool


@pytest.mark.parametrize("kind", ["roi_align", "roi_pool"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_features_are_read_at_exact_places(kind, dtype):
    """bfloat16 rounds 301 to 302 and 303 to 304: a box there would be read beside its place."""
    pool = RoIPool((1,), kind=kind, size=1, canonical_stride=1)
    ramp = torch.arange(400.0).expand(1, 1, 8, 400) / 512  # multiples of 1 / 512: exact in neither
    boxes = torch.tensor([[301.0, 1, 303, 5], [3.0, 1, 5, 5]])
    image = torch.zeros(2).long()
    exact = pool([ramp.to(dtype).float()], boxes, image)
    found = pool([ramp.to(dtype)], boxes, image)
    assert found.dtype == dtype
    assert torch.equal(found, exact.to(dtype))
