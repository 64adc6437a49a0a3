import math

import torch

from kedge.coders import YOLOv2Coder, YOLOv3Coder, YOLOv5Coder

# cell (3, 1) of stride 16: corner (48, 16), centre (56, 24); an anchor of 40 x 20 on it
ANCHOR = torch.tensor([[36.0, 14.0, 76.0, 34.0]])
STRIDE = torch.tensor([[16.0, 16.0]])


def logit(p):
    return math.log(p / (1 - p))


def test_yolov2_by_hand():
    # centre a quarter into the cell in x and three quarters in y: (52, 28); 80 x 10
    box = torch.tensor([[12.0, 23.0, 92.0, 33.0]])
    code = torch.tensor([[logit(0.25), logit(0.75), math.log(2), -math.log(2)]])
    torch.testing.assert_close(YOLOv2Coder().encode(ANCHOR, box, STRIDE), code)
    torch.testing.assert_close(YOLOv2Coder().decode(ANCHOR, code, STRIDE), box)


def test_yolov2_zero_code_is_the_anchor_and_the_centre_never_leaves_the_cell():
    coder = YOLOv2Coder()
    torch.testing.assert_close(coder.decode(ANCHOR, torch.zeros(1, 4), STRIDE), ANCHOR)
    far = coder.decode(ANCHOR, torch.tensor([[99.0, -99.0, 0.0, 0.0]]), STRIDE)
    torch.testing.assert_close((far[:, :2] + far[:, 2:]) / 2, torch.tensor([[64.0, 16.0]]))


def test_yolov2_writes_a_centre_outside_the_cell_as_its_border():
    outside = torch.tensor([[100.0, 100.0, 140.0, 120.0]])
    code = YOLOv2Coder(eps=1e-3).encode(ANCHOR, outside, STRIDE)
    torch.testing.assert_close(code[0, :2].sigmoid(), torch.tensor([0.999, 0.999]))


def test_yolov2_size_is_bounded_like_the_delta_coder_unless_asked_otherwise():
    wild = torch.tensor([[0.0, 0.0, 10.0, 0.0]])
    box = YOLOv2Coder().decode(ANCHOR, wild, STRIDE)
    torch.testing.assert_close(box[0, 2] - box[0, 0], torch.tensor(40 * 1000 / 16))
    box = YOLOv2Coder(max_log_size=None).decode(ANCHOR, wild, STRIDE)
    torch.testing.assert_close(box[0, 2] - box[0, 0], torch.tensor(40 * math.exp(10)))


def test_yolov3_is_yolov2():
    assert YOLOv3Coder is YOLOv2Coder


def test_yolov5_by_hand():
    # sigma .75: x = 2 * .75 - .5 + 3 = 4 cells = 64 px; sigma .5: y = .5 + 1 = 1.5 cells = 24 px
    # w = (2 * .75)**2 * 40 = 90, h = (2 * .25)**2 * 20 = 5
    code = torch.tensor([[logit(0.75), 0.0, logit(0.75), logit(0.25)]])
    box = torch.tensor([[64.0 - 45, 24 - 2.5, 64 + 45, 24 + 2.5]])
    torch.testing.assert_close(YOLOv5Coder().decode(ANCHOR, code, STRIDE), box)
    torch.testing.assert_close(
        YOLOv5Coder().encode(ANCHOR, box, STRIDE), code, atol=1e-5, rtol=1e-5
    )


def test_yolov5_reaches_half_a_cell_further_and_four_anchors_wide():
    far = YOLOv5Coder().decode(ANCHOR, torch.tensor([[99.0, -99.0, 99.0, -99.0]]), STRIDE)
    torch.testing.assert_close(far, torch.tensor([[72.0 - 80, 8.0, 72 + 80, 8.0]]))
    beyond = torch.tensor([[500.0, 500.0, 900.0, 900.0]])
    assert YOLOv5Coder().encode(ANCHOR, beyond, STRIDE).isfinite().all()


def test_anchor_shapes_learn_from_the_size_part_only():
    for coder in (YOLOv2Coder(), YOLOv5Coder()):
        shape = torch.tensor([[40.0, 20.0]], requires_grad=True)
        centre = torch.tensor([[56.0, 24.0]])
        anchor = torch.cat((centre - shape / 2, centre + shape / 2), 1)
        code = coder.encode(anchor, torch.tensor([[30.0, 10.0, 90.0, 35.0]]), STRIDE)
        xy = torch.autograd.grad(code[0, :2].sum(), shape, retain_graph=True)[0]
        wh = torch.autograd.grad(code[0, 2:].sum(), shape)[0]
        assert torch.equal(xy, torch.zeros(1, 2))
        assert (wh < 0).all()
