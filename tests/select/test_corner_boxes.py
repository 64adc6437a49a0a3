"""Boxes between corners on a 4 x 4 map, by hand and against a loop over all boxes."""

import itertools

import pytest
import torch

from kedge.select.corner_boxes import corner_boxes

LOW, HIGH = -9.0, 4.0


def shown(boxes, size=(4, 4)):
    """Log odds (1, 4, H, W): high at the corners of boxes of cells, low elsewhere."""
    odds = torch.full((1, 4, *size), LOW)
    for x1, y1, x2, y2 in boxes:
        for kind, (x, y) in enumerate(((x1, y1), (x2, y1), (x1, y2), (x2, y2))):
            odds[0, kind, y, x] = HIGH
    return odds


def test_two_objects():
    """Cells (0, 0, 1, 1) and (2, 1, 3, 3), of which all four corners are seen; and two boxes of
    which two are: from the top left of the first to the bottom right of the second, and from the
    bottom left of the first to the top right of the second, in one row."""
    found = corner_boxes(shown([(0, 0, 1, 1), (2, 1, 3, 3)]))
    assert found.cells.tolist() == [[0, 0, 1, 1], [2, 1, 3, 3], [0, 0, 3, 3], [0, 1, 3, 1]]
    odds = torch.tensor([4 * HIGH] * 2 + [2 * HIGH + 2 * LOW] * 2)
    assert torch.allclose(found.score, odds.sigmoid())
    assert found.image.tolist() == [0] * 4
    assert corner_boxes(shown([(0, 0, 1, 1), (2, 1, 3, 3)]), most=1).cells.tolist() == [
        [0, 0, 1, 1]
    ]
    assert corner_boxes(shown([(1, 2, 1, 2)])).cells.tolist() == [[1, 2, 1, 2]]  # a single cell
    assert len(corner_boxes(shown([])).cells) == 0


def test_one_pair_of_opposite_corners_is_enough():
    odds = shown([(0, 0, 2, 3)])
    odds[0, [0, 3]] = LOW  # only the top right and the bottom left are seen
    found = corner_boxes(odds)
    assert found.cells.tolist() == [[0, 0, 2, 3]]
    assert found.score.tolist() == pytest.approx([1 / (1 + torch.tensor(10.0).exp().item())])


@pytest.mark.parametrize("seed", range(5))
def test_equals_a_loop_over_all_boxes(seed):
    g = torch.Generator().manual_seed(seed)
    odds = 3 * torch.randn(2, 4, 3, 5, generator=g) - 3
    found = corner_boxes(odds, min_corner=0.1, most=10**6)
    wanted = []
    for image, y1, x1, y2, x2 in itertools.product(
        range(2), range(3), range(5), range(3), range(5)
    ):
        if y2 < y1 or x2 < x1:
            continue
        four = [odds[image, 0, y1, x1], odds[image, 1, y1, x2],
                odds[image, 2, y2, x1], odds[image, 3, y2, x2]]  # fmt: skip
        p = [float(x.sigmoid()) >= 0.1 for x in four]
        if (p[0] and p[3]) or (p[1] and p[2]):
            wanted.append((image, x1, y1, x2, y2, round(float(sum(four).sigmoid()), 5)))
    ours = zip(found.image.tolist(), *found.cells.T.tolist(),
               [round(s, 5) for s in found.score.tolist()])  # fmt: skip
    rows = list(ours)
    assert [r[:5] for r in sorted(rows)] == [w[:5] for w in sorted(wanted)]
    assert sorted(r[5] for r in rows) == pytest.approx(sorted(w[5] for w in wanted), abs=2e-5)
    for image in range(2):
        scores = found.score[found.image == image]
        assert (scores.diff() <= 0).all()
