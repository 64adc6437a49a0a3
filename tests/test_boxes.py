"""The IoU family: by hand, against torchvision, symmetric where it should be, finite everywhere."""

import math

import pytest
import torch
import torchvision.ops as ops
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from kedge import boxes as B

FAMILY = [B.iou, B.giou, B.diou, B.ciou, B.eiou, B.siou, B.nwd, B.simd, B.gcd, B.rfd]
family = pytest.mark.parametrize("compare", FAMILY, ids=lambda f: f.__name__)

# a, b: IoU, GIoU, DIoU, CIoU, EIoU, SIoU, NWD, SimD, GCD, RFD
REFERENCE = [
    [
        *((0, 0, 10, 10), (5, 5, 15, 15)),
        *(0.142857, -0.079365, 0.031746, 0.031746, 0.031746, 0.037696, 0.575551),
        *(0.147415, 0.493069, 0.5),
    ],
    [
        *((0, 0, 20, 10), (0, 0, 10, 10)),
        *(0.5, 0.5, 0.45, 0.446752, 0.2, 0.429264, 0.575551),
        *(0.046654, 0.571771, 0.433491),
    ],
    [
        *((0, 0, 4, 4), (10, 0, 14, 4)),
        *(0.0, -0.428571, -0.471698, -0.471698, -0.471698, -0.319776, 0.457833),
        *(0.000470, 0.082085, 0.074074),
    ],
    [
        *((2, 2, 12, 7), (0, 0, 10, 10)),
        *(0.363636, 0.280303, 0.346218, 0.343623, 0.096218, 0.328947, 0.776348),
        *(0.115117, 0.637628, 0.712684),
    ],
]


def random_boxes(n, seed, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(n, 2, generator=g, dtype=dtype) * torch.tensor([300.0, 100.0], dtype=dtype)
    return torch.cat((corner, corner + 1 + 80 * torch.rand(n, 2, generator=g, dtype=dtype)), 1)


@pytest.mark.parametrize("row", REFERENCE, ids=lambda row: str(row[:2]))
def test_reference_values(row):
    a, b = (torch.tensor([r], dtype=torch.float64) for r in row[:2])
    got = [f(a, b).item() for f in FAMILY]
    # six printed digits; one unit of slack in the last one
    assert got == pytest.approx(row[2:], abs=1.1e-6)


def test_by_hand():
    a, b = torch.tensor([0.0, 0.0, 20.0, 10.0]), torch.tensor([0.0, 0.0, 10.0, 10.0])
    assert B.iou(a, b) == 0.5
    assert B.iof(a, b) == 0.5
    assert B.iof(b, a) == 1.0
    assert B.diou(a, b).item() == pytest.approx(0.5 - 25 / 500)  # 5 px apart, diagonal^2 = 500
    assert B.eiou(a, b).item() == pytest.approx(0.45 - 100 / 400)  # 10 px wider, 20 px around
    assert B.nwd(a, b).item() == pytest.approx(math.exp(-math.sqrt(25 + 25) / 12.8))
    # SimD: 5 px of 30 wide, 10 px wider; GCD: (5 / 20)^2 and (5 / 10)^2, and half of 10 px likewise
    assert B.simd(a, b).item() == pytest.approx(math.exp(-6.13 * (5 + 10) / 30))
    assert B.gcd(a, b).item() == pytest.approx(math.exp(-math.sqrt(0.0625 + 0.25)))
    # KL = (4 + 1 + 4 * 25 / 100 - ln 4 - 2) / 2
    assert B.kld(a, b).item() == pytest.approx((4 - math.log(4)) / 2)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (B.iou, ops.box_iou),
        (B.giou, ops.generalized_box_iou),
        (B.diou, ops.distance_box_iou),
        (B.ciou, ops.complete_box_iou),
    ],
    ids=["iou", "giou", "diou", "ciou"],
)
def test_equals_torchvision(ours, theirs):
    a, b = random_boxes(60, 1), random_boxes(50, 2)
    dense = ours(a[:, None], b[None])
    if ours is B.iou:
        assert torch.equal(dense, theirs(a, b))
    torch.testing.assert_close(dense, theirs(a, b), atol=2e-6, rtol=1e-5)


@family
def test_dense_equals_row_by_row(compare):
    a, b = random_boxes(12, 3), random_boxes(7, 4)
    dense = compare(a[:, None], b[None])
    assert dense.shape == (12, 7)
    rows = torch.stack([compare(a, box.expand_as(a)) for box in b], dim=1)
    assert torch.equal(dense, rows)


@family
def test_a_box_is_most_similar_to_itself(compare):
    a = random_boxes(200, 5)
    torch.testing.assert_close(compare(a, a), torch.ones(200), atol=1e-5, rtol=0)
    assert (compare(a, random_boxes(200, 6)) < 1).all()


@family
def test_no_pairs_and_float_types(compare):
    assert compare(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0,)
    assert compare(torch.zeros(0, 1, 4), torch.zeros(1, 5, 4)).shape == (0, 5)
    a, b = random_boxes(5, 7), random_boxes(5, 8)
    assert compare(a.half(), b.half()).dtype == torch.float32
    assert compare(a.half(), b.double()).dtype == torch.float64
    big = torch.tensor([[0.0, 0.0, 2000.0, 1500.0]])
    assert compare(big.half(), big.half()).isfinite().all()  # the area overflows float16


@family
def test_gradients(compare):
    a = random_boxes(6, 9, torch.float64).requires_grad_()
    b = random_boxes(6, 10, torch.float64)
    b[:3] = 1.02 * a.detach()[:3] + 7.3  # overlapping pairs as well, of other sizes
    if compare is not B.ciou:  # its alpha is a constant by definition
        assert gradcheck(compare, (a, b.requires_grad_()))
    else:
        with torch.no_grad():
            overlap = B.iou(a, b)
            side_a, side_b = B.sizes(a), B.sizes(b)
            turn = torch.atan(side_b[:, 0] / side_b[:, 1]) - torch.atan(side_a[:, 0] / side_a[:, 1])
            v = 4 / math.pi**2 * turn**2
            alpha = v / (1 - overlap + v)

        def frozen(a):
            side = B.sizes(a)
            turn = torch.atan(side_b[:, 0] / side_b[:, 1]) - torch.atan(side[:, 0] / side[:, 1])
            return B.diou(a, b) - alpha * 4 / math.pi**2 * turn**2

        (ours,) = torch.autograd.grad(B.ciou(a, b).sum(), a)
        (wanted,) = torch.autograd.grad(frozen(a).sum(), a)
        torch.testing.assert_close(ours, wanted)
        assert gradcheck(frozen, (a,))


POINT, LINE, BOX, FAR = (5, 5, 5, 5), (5, 0, 5, 10), (0, 0, 10, 10), (1e4, 1e4, 1e4 + 1, 1e4 + 900)


@family
@pytest.mark.parametrize(
    "pair", [(p, q) for p in (POINT, LINE, BOX, FAR) for q in (POINT, LINE, BOX)]
)
def test_degenerate_boxes_stay_finite(compare, pair):
    a, b = (torch.tensor([p], dtype=torch.float32, requires_grad=True) for p in pair)
    value = compare(a, b)
    value.sum().backward()
    for tensor in (value, a.grad, b.grad):
        assert tensor.isfinite().all()
    if compare is B.iou and (POINT in pair or LINE in pair):
        assert value == 0


finite = st.floats(-500, 500, allow_nan=False, width=32)
side = st.floats(0.125, 400, width=32)


@settings(max_examples=60, deadline=None)
@given(st.tuples(finite, finite, side, side), st.tuples(finite, finite, side, side))
def test_ranges_and_order(p, q):
    a, b = (torch.tensor([[x, y, x + w, y + h]], dtype=torch.float64) for x, y, w, h in (p, q))
    overlap = B.iou(a, b)
    assert 0 <= overlap <= 1 + 1e-9
    assert -1 <= B.giou(a, b) <= overlap + 1e-9
    assert B.ciou(a, b) <= B.diou(a, b) + 1e-12 <= overlap + 1e-9
    assert B.eiou(a, b) <= B.diou(a, b) + 1e-12
    assert B.siou(a, b) <= overlap + 1e-12
    for similarity in (B.nwd, B.simd, B.gcd):
        assert 0 <= similarity(a, b) <= 1
    assert B.kld(a, b) >= -1e-9
    for symmetric in (B.iou, B.giou, B.diou, B.eiou, B.siou, B.nwd, B.simd, B.gcd):
        torch.testing.assert_close(symmetric(a, b), symmetric(b, a))
    moved = torch.tensor([30.0, -20.0, 30.0, -20.0], dtype=torch.float64)
    for compare in FAMILY:
        torch.testing.assert_close(
            compare(a + moved, b + moved), compare(a, b), rtol=1e-6, atol=1e-9
        )
    for scale_free in (B.iou, B.giou, B.diou, B.ciou, B.eiou, B.siou, B.simd, B.gcd, B.rfd):
        torch.testing.assert_close(scale_free(a * 3, b * 3), scale_free(a, b), rtol=1e-6, atol=1e-9)


def test_siou_costs_distance_as_the_paper_says():
    fixed = torch.tensor([0.0, 0.0, 10.0, 10.0])
    away = torch.stack([fixed + torch.tensor([d, 0.0, d, 0.0]) for d in (12.0, 20.0, 40.0)])
    value = B.siou(away, fixed)
    assert (value[1:] < value[:-1]).all()  # no overlap anywhere: only the distance differs


def test_unflip():
    flipped = torch.tensor([[10.0, 0.0, 4.0, 5.0], [0.0, 9.0, 4.0, 5.0], [0.0, 0.0, 1.0, 2.0]])
    fixed = torch.tensor([[10.0, 0.0, 10.0, 5.0], [0.0, 9.0, 4.0, 9.0], [0.0, 0.0, 1.0, 2.0]])
    assert torch.equal(B.unflip(flipped), fixed)
