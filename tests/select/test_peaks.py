"""Peaks of heat maps, by hand and in a loop."""

import torch

from kedge.select import peaks


def test_peaks_by_hand():
    heat = torch.zeros(2, 2, 3, 4)
    heat[0, 0, 0, 0], heat[0, 0, 0, 1] = 0.9, 0.8  # the second is beside the first
    heat[0, 1, 0, 1], heat[0, 0, 2, 3] = 0.7, 0.95
    heat[1, 1, 1, 1] = heat[1, 1, 1, 2] = 0.5  # a plateau is two points
    found = peaks(heat, 3)
    rows = list(zip(*(column[0].tolist() for column in (found.label, found.y, found.x))))
    assert rows == [(0, 2, 3), (0, 0, 0), (1, 0, 1)]
    assert torch.allclose(found.score[0], torch.tensor([0.95, 0.9, 0.7]))
    assert sorted(found.x[1, :2].tolist()) == [1, 2]
    assert found.score[1, 2] == 0
    maps = torch.arange(48.0).view(2, 2, 3, 4)
    assert found.read(maps)[0].tolist() == [[11, 23], [0, 12], [1, 13]]


def test_equals_a_loop_over_cells():
    g = torch.Generator().manual_seed(0)
    heat = torch.rand(2, 3, 7, 9, generator=g)
    found = peaks(heat, 1000)
    assert found.score.shape == (2, 3 * 7 * 9)
    for image in range(2):
        wanted = []
        for c in range(3):
            for y in range(7):
                for x in range(9):
                    near = heat[image, c, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
                    if heat[image, c, y, x] == near.max():
                        wanted.append((float(heat[image, c, y, x]), c, y, x))
        wanted.sort(reverse=True)
        rows = zip(*(column[image].tolist() for column in found))
        assert list(rows)[: len(wanted)] == wanted
        assert (found.score[image, len(wanted) :] == 0).all()
