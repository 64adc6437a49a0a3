"""Extreme points by hand, and their grouping against a plain loop over all fours."""

import itertools

import pytest
import torch

from kedge.select import peaks
from kedge.select.extremes import aggregated, group_extremes, run_before, without_ghosts
from kedge.types import Detections


def test_edges_by_hand():
    row = torch.tensor([0.1, 0.3, 0.2, 0.2, 0.9, 0.0])
    from_left, from_right = [0, 0.1, 0, 0.2, 0.4, 0], [0, 0.4, 0.2, 0, 0, 0]
    assert run_before(row, 0).tolist() == pytest.approx(from_left, abs=1e-6)
    assert run_before(row.flip(0), 0).tolist()[::-1] == pytest.approx(from_right, abs=1e-6)
    found = aggregated(row.view(1, 1, 1, 6), 3, 0.1)[0, 0, 0]
    assert found.tolist() == pytest.approx([0.1, 0.35, 0.22, 0.22, 0.94, 0], abs=1e-6)
    assert aggregated(torch.full((1, 1, 9, 1), 0.9), 2, 0.1).max() == 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("axis", [2, 3])
def test_runs_equal_the_authors_loop(seed, axis):
    """``_left_aggregate`` of the authors' code, over plain numbers."""
    g = torch.Generator().manual_seed(seed)
    heat = torch.randint(0, 6, (2, 3, 5, 7), generator=g) / 10
    found = run_before(heat, axis)
    lines = heat.transpose(axis, 3).reshape(-1, heat.shape[axis]).tolist()
    wanted = []
    for line in lines:
        total = list(line)
        for i in range(1, len(line)):
            if line[i] >= line[i - 1]:
                total[i] += total[i - 1]
        wanted.append([t - x for t, x in zip(total, line)])
    ours = found.transpose(axis, 3).reshape(-1, heat.shape[axis])
    assert torch.allclose(ours, torch.tensor(wanted).double(), atol=1e-6)


def loop(points, centre, least_extreme, least_centre):
    """All fours of one image that keep the rules, in a loop."""
    found = []
    rows = [list(zip(*(column[0].tolist() for column in kind))) for kind in points]
    for fours in itertools.product(*(range(len(kind)) for kind in rows)):
        (ts, tc, ty, tx), (ls, lc, ly, lx), (bs, bc, by, bx), (rs, rc, ry, rx) = (
            kind[i] for kind, i in zip(rows, fours)
        )
        middle = float(centre[0, tc, int((ty + by + 0.5) / 2), int((lx + rx + 0.5) / 2)])
        score = (ts + ls + bs + rs + 2 * middle) / 6
        score -= not tc == lc == bc == rc
        score -= ty > min(ly, by, ry)
        score -= lx > min(tx, bx, rx)
        score -= by < max(ty, ly, ry)
        score -= rx < max(tx, lx, bx)
        score -= min(ts, ls, bs, rs) < least_extreme or middle < least_centre
        if score > 0:
            found.append((*fours, round(score, 5)))
    return sorted(found)


@pytest.mark.parametrize("seed", range(4))
def test_groups_equal_the_authors_rules(seed):
    """On 8 x 8 maps of two classes; theirs takes 1 off for every rule that is broken."""
    g = torch.Generator().manual_seed(seed)
    heats = torch.rand(5, 1, 2, 8, 8, generator=g)
    ramp = torch.linspace(1, 0, 8)
    falls = (ramp[:, None], ramp, ramp.flip(0)[:, None], ramp.flip(0))
    points = tuple(peaks(heat * fall, 9) for heat, fall in zip(heats, falls))
    found = group_extremes(points, heats[4], min_extreme=0.1, min_centre=0.4)
    columns = (found.top, found.left, found.bottom, found.right)
    ours = zip(*(c.tolist() for c in columns), [round(s, 5) for s in found.score.tolist()])
    wanted = loop(points, heats[4], 0.1, 0.4)
    assert len(wanted) > 3
    assert [row[:4] for row in sorted(ours)] == [row[:4] for row in wanted]
    assert sorted(found.score.tolist()) == pytest.approx(sorted(r[4] for r in wanted), abs=1e-4)


def test_a_batch_is_its_images_one_after_the_other():
    g = torch.Generator().manual_seed(0)
    heats = torch.rand(5, 3, 2, 8, 8, generator=g)
    heats[:, 1] = 0  # an image without anything
    whole = group_extremes(tuple(peaks(heat, 6) for heat in heats[:4]), heats[4])
    one = group_extremes(tuple(peaks(heat[2:], 6) for heat in heats[:4]), heats[4, 2:])
    assert (whole.image.diff() >= 0).all()
    assert set(whole.image.tolist()) == {0, 2}
    assert torch.equal(whole.score[whole.image == 2], one.score)


def test_ghosts_lose_half():
    """A box of .4 around two of .5: together 1.4, more than three times its own; with one of them
    of another class, 0.9, it is no ghost. Others of the image move up."""
    boxes = torch.tensor([[2.0, 2, 4, 4], [5.0, 5, 8, 8], [1.0, 1, 9, 9], [20.0, 20, 30, 30]])
    scores, image = torch.tensor([0.5, 0.5, 0.4, 0.3]), torch.zeros(4).long()
    for labels, wanted in (([0, 0, 0, 0], [0.5, 0.5, 0.3, 0.2]), ([0, 1, 0, 0], scores.tolist())):
        found = Detections(
            boxes=boxes, scores=scores, labels=torch.tensor(labels), image=image, batch_size=1
        )
        kept = without_ghosts(found)
        assert kept.scores.tolist() == pytest.approx(wanted)
        assert len(kept) == 4
    weak = Detections(boxes=boxes, scores=scores * 0.4, labels=image, image=image, batch_size=1)
    assert without_ghosts(weak).scores.tolist() == weak.scores.tolist()
