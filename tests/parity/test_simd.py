"""SimD's similarity beside the authors' own code; KEDGE_SIMD names a checkout of it."""

import pytest
import torch
from parity.checkouts import file_of, function_of, needs_checkout

from kedge.boxes import simd

CHECKOUT = ("KEDGE_SIMD", "mmdet/structures/bbox/bbox_overlaps.py")
pytestmark = needs_checkout(*CHECKOUT)


class Sim(str):
    """Their mode, which the released file computes but does not have in its list of modes."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        return other in ("sim", "iou")


@pytest.mark.parametrize("seed", range(3))
def test_the_same_similarity(seed):
    theirs = function_of(file_of(*CHECKOUT), "bbox_overlaps", torch=torch)
    rng = torch.Generator().manual_seed(seed)
    corner = 200 * torch.rand(2, 50, 2, generator=rng)
    side = 1 + 60 * torch.rand(2, 50, 2, generator=rng)
    a, b = torch.cat([corner, corner + side], -1)
    torch.testing.assert_close(simd(a[:, None], b), theirs(a, b, mode=Sim("sim")))
