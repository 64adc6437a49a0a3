"""The heads of FCOS and its heirs: order, priors, and boxes that are read from other cells."""

import pytest
import torch

from kedge.nn import PointHead, RefinedPointHead, StarHead, TaskHead
from kedge.nn.sides import sides_from
from kedge.nn.star_head import star

MAPS = [torch.rand(2, 8, 6, 5), torch.rand(2, 8, 3, 3)]
HEADS = {
    "points": lambda: PointHead(8, levels=2, outputs=3, depth=2),
    "refined": lambda: RefinedPointHead(8, levels=2, outputs=3, depth=2, start=1.0),
    "star": lambda: StarHead(8, levels=2, outputs=3, depth=2),
    "task": lambda: TaskHead(8, levels=2, outputs=3, depth=2),
}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(params=HEADS.values(), ids=HEADS.keys())
def head(request):
    return request.param()


def test_outputs_have_a_row_for_every_cell_level_after_level(head):
    logits, codes, *more = head(MAPS)
    assert logits.shape == (2, 39, 3)
    assert codes.shape == (2, 39, 4)
    assert all(rows.shape[:2] == (2, 39) for rows in more)
    with torch.no_grad():
        head.scale[1] = 3
    again = head(MAPS)[1]
    assert torch.equal(again[:, :30], codes[:, :30])
    assert not torch.allclose(again[:, 30:], codes[:, 30:])


def test_an_untrained_head_says_the_prior(head):
    assert torch.allclose(head(MAPS)[0].sigmoid(), torch.tensor(0.01), rtol=0.2)


def test_everything_learns_and_nothing_is_half_as_precise_under_autocast(head):
    plain = head(MAPS)
    with torch.autocast("cpu", torch.bfloat16):
        said = head(MAPS)
    for one, other in zip(plain, said, strict=True):
        assert other.dtype == torch.float32
        assert torch.allclose(one, other, atol=0.1)
    sum(part.square().sum() for part in plain).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_levels_must_be_as_many_as_the_head_has_scales(head):
    with pytest.raises(ValueError, match="zip"):
        head(MAPS[:1])


def test_several_shapes_of_a_cell_come_together():
    head = PointHead(8, levels=1, outputs=3, shapes=2, depth=1, quality=False)
    logits, codes, quality = head(MAPS[:1])
    assert logits.shape == (2, 60, 3)
    assert codes.shape == (2, 60, 4)
    assert quality is None


# -- sides from other cells ------------------------------------------------------------------------


def boxes_said(height=4, width=6):
    """A map in which every cell says one box, in cells: (1, 0.5, 4.5, 3)."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x - 1, y - 0.5, 4.5 - x, 3 - y])[None]


def test_without_offsets_nothing_moves():
    sides = torch.rand(2, 4, 4, 6)
    assert torch.equal(sides_from(sides, torch.zeros(2, 8, 4, 6)), sides)


def test_where_all_say_the_same_box_it_stays_wherever_it_is_read():
    sides = boxes_said()
    offsets = 2 * torch.rand(1, 8, 4, 6) - 1
    got = sides_from(sides, offsets)[:, :, 1:-1, 1:-1]
    assert torch.allclose(got, sides[:, :, 1:-1, 1:-1], atol=1e-5)


def test_one_side_is_read_at_one_place_by_hand():
    sides = torch.zeros(1, 4, 1, 3)
    sides[0, :, 0, 2] = torch.tensor([0.5, 7.0, 7.0, 7.0])  # the right cell's left side: at x 2
    offsets = torch.zeros(1, 8, 1, 3)
    offsets[0, 1, 0, 0] = 2.0  # the left cell reads left two cells to the right
    got = sides_from(sides, offsets)
    # seen from the left cell's point at 0.5, x = 2 lies 1.5 to the right
    assert got[0, :, 0, 0].tolist() == [-1.5, 0, 0, 0]


def test_beyond_the_map_a_side_lies_where_it_was_asked_for():
    sides = torch.ones(1, 4, 2, 2)
    offsets = torch.zeros(1, 8, 2, 2)
    offsets[0, 1], offsets[0, 6] = -9.0, 8.0  # left 9 to the left, bottom 8 down
    got = sides_from(sides, offsets)
    assert (got[0, 0] == 9).all()
    assert (got[0, 3] == 8).all()
    assert (got[0, 1:3] == 1).all()


def test_the_gradient_of_sides_and_offsets():
    sides = torch.rand(1, 4, 3, 4, dtype=torch.float64, requires_grad=True)
    offsets = (torch.rand(1, 8, 3, 4, dtype=torch.float64) - 0.5).requires_grad_()
    assert torch.autograd.gradcheck(sides_from, (sides, offsets))


def test_a_refined_box_reads_its_sides_at_their_middles(monkeypatch):
    """Every cell says boxes of two cells to each side; the row below says other ones."""
    head = RefinedPointHead(1, levels=1, outputs=1, depth=0)
    with torch.no_grad():
        for layer in (head.offsets, head.codes):
            layer.weight.zero_(), layer.bias.zero_()
        head.codes.bias.fill_(2.0)
        head.codes.weight[:, :, 1, 1] = 1.0
    features = torch.zeros(1, 1, 9, 9)
    features[0, 0, 4, 2] = 0.5  # at the middle of the left side of the box of cell (4, 4)
    features[0, 0, 6, 4] = -0.5  # and of its bottom
    got = head.box_maps(features, torch.tensor(1.0))
    assert got[0, :, 4, 4].tolist() == [4.5, 4.0, 4.0, 3.5]


# -- the star --------------------------------------------------------------------------------------


def test_the_nine_points_of_a_star_by_hand():
    codes = torch.tensor([1.0, 2.0, 3.0, 4.0]).log().view(1, 4, 1, 1)  # left, top, right, bottom
    moves = star(codes).view(9, 2)
    taps = torch.tensor([[y, x] for y in (-1, 0, 1) for x in (-1, 0, 1)])
    wanted = [[-2, -1], [-2, 0], [-2, 3], [0, -1], [0, 0], [0, 3], [4, -1], [4, 0], [4, 3]]
    assert torch.allclose(moves + taps, torch.tensor(wanted).float(), atol=1e-6)


def test_a_star_passes_a_tenth_of_the_gradient_and_stays_finite():
    codes = torch.tensor([0.0, 0, 0, 80]).view(1, 4, 1, 1).requires_grad_()
    moves = star(codes)
    assert torch.isfinite(moves).all()
    moves[0, 5].sum().backward()  # dx of the right end of the first row: exp(0), a tenth
    assert codes.grad[0, :, 0, 0].tolist() == pytest.approx([0, 0, 0.1, 0])


def test_a_refined_box_is_the_first_and_a_correction_which_leaves_the_first_alone():
    head = StarHead(8, levels=1, outputs=3, depth=1, start=0.5)
    with torch.no_grad():
        head.refine.weight.zero_()  # of no star
        head.refine.bias.copy_(torch.tensor([0.0, 1, 2, 3]))
    _, codes, first = head(MAPS[:1])
    assert torch.equal(codes, first + head.refine.bias)
    (gradient,) = torch.autograd.grad(codes.sum(), [head.first.bias])
    assert not gradient.any()


def test_probabilities_of_the_task_head_are_geometric_means():
    head = TaskHead(8, levels=1, outputs=3, depth=2, prior=0.2)
    with torch.no_grad():
        for layer in (head.classes, head.alignment[2]):
            layer.weight.zero_()
        head.classes.bias.copy_(torch.tensor([0.0, -50, 50]))
        head.alignment[2].bias.fill_(0.0)
    logits = head(MAPS[:1])[0]
    assert torch.isfinite(logits).all()
    expected = torch.tensor([0.5, 0.5**0.5 * torch.tensor(-25.0).exp(), 0.5**0.5])
    assert torch.allclose(logits.sigmoid()[0, 0], expected, rtol=1e-4)
