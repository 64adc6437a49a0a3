import pytest
import torch

from kedge.losses import centreness_target, iou_target


def test_centreness_by_hand():
    point, box = (
        torch.zeros(1, 2),
        torch.tensor([[-2.0, -3.0, 6.0, 3.0]]),
    )  # l, t, r, b = 2, 3, 6, 3
    assert centreness_target(point, box).item() == pytest.approx(0.57735, abs=1e-5)
    middle = torch.tensor([[2.0, 0.0]])
    assert centreness_target(middle, box) == 1


def test_centreness_is_zero_outside_on_the_border_and_in_boxes_without_area():
    box = torch.tensor([[0.0, 0.0, 10.0, 4.0]]).repeat(4, 1)
    points = torch.tensor([[12.0, 2.0], [10.0, 2.0], [5.0, -1.0], [-3.0, 9.0]])
    assert centreness_target(points, box).tolist() == [0, 0, 0, 0]
    assert centreness_target(points[:1], torch.tensor([[12.0, 2, 12, 2]])).tolist() == [0]
    assert centreness_target(torch.zeros(0, 2), torch.zeros(0, 4)).shape == (0,)


def test_iou_target_has_no_gradient_and_survives_flipped_predictions():
    inputs = torch.tensor([[0.0, 0, 20, 10], [9.0, 9, 2, 2]], requires_grad=True)
    targets = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 10]])
    quality = iou_target(inputs, targets)
    assert quality.tolist() == [0.5, 0]
    assert not quality.requires_grad
