"""Two processes with half of a batch each say what one says of the whole: losses, gradients, state.

Chance and batch statistics, which have no such equality, are left out: see ``prepared``.
"""

import pytest
import torch
from contracts.two_ranks import SPECIAL, told, work
from detectors.scenes import KEYPOINTS, SMALL, SPARSE

from kedge.ranks import per_rank

SOME = ["fcos", "vfnet", "dw", "cornernet", *SPECIAL]
# metaanchor's shapes are drawn at random
REST = sorted({*SMALL, *KEYPOINTS, *SPARSE} - {*SOME, "metaanchor"})


def test_a_number_is_counted_whatever_the_precision_of_the_loss():
    """100,000 anchors are infinitely many in float16."""
    loss = torch.tensor(50_000.0, dtype=torch.float16)
    assert float(loss / per_rank(100_000)) == pytest.approx(0.5, abs=1e-3)
    assert float(per_rank(0, 1)) == 1


def agree(folder, names: list[str]) -> None:
    torch.multiprocessing.spawn(work, (str(folder), names), nprocs=2)
    for name in names:
        together = torch.load(folder / f"{name}.pt", weights_only=True)
        alone = told(name)
        assert together.keys() == alone.keys()
        for key, value in alone.items():
            # sums of float32 in another order; a gradient is as good as its largest number
            scale = 1e-5 * float(value.abs().max()) if value.numel() else 0.0
            torch.testing.assert_close(
                together[key], value, rtol=1e-4, atol=max(scale, 1e-7),
                msg=lambda said, where=f"{name}: {key}": f"{where}: {said}",
            )  # fmt: skip


def test_half_a_batch_each_is_the_whole(tmp_path):
    agree(tmp_path, SOME)


@pytest.mark.slow
def test_half_a_batch_each_is_the_whole_in_every_other_detector(tmp_path):
    agree(tmp_path, REST)
