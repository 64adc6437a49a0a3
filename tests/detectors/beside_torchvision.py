"""Detectors beside torchvision's of the same weights: its backbone, and two stages on one scene."""

import torch
from torch import nn

CLASSES, EVERY = 4, 10**7
NAMES = {
    "proposal_classification": "loss_objectness",
    "proposal_box": "loss_rpn_box_reg",
    "classification": "loss_classifier",
    "box": "loss_box_reg",
}


class Body(nn.Module):
    """torchvision's ResNet as a backbone of ours."""

    channels, strides = (64, 128, 256, 512), (4, 8, 16, 32)

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, images):
        return list(self.body(images).values())


def scene(seed=0, counts=(3, 0, 5)):
    g = torch.Generator().manual_seed(seed)
    targets = []
    for count in counts:
        corner = torch.rand(count, 2, generator=g) * torch.tensor([220.0, 160.0])
        size = torch.rand(count, 2, generator=g) * 90 + 8
        labels = torch.randint(CLASSES, (count,), generator=g)
        targets.append({"boxes": torch.cat([corner, corner + size], 1), "labels": labels})
    return [torch.rand(3, 256, 320, generator=g) for _ in counts], targets


def as_theirs(targets):
    return [{"boxes": t["boxes"], "labels": t["labels"] + 1} for t in targets]


def load_outputs(layers, predictor):
    """Their last layers in ours. Background is first there and last here; its box is learned by
    nobody."""
    scores, codes = predictor.cls_score.state_dict(), predictor.bbox_pred.state_dict()
    layers.classes.load_state_dict({k: torch.cat([v[1:], v[:1]]) for k, v in scores.items()})
    layers.codes.load_state_dict({k: v[4:] for k, v in codes.items()})


def load_proposals(layers, head):
    """Their proposal network in ours."""
    layers.tower[0].load_state_dict(head.conv[0][0].state_dict())
    layers.objectness.load_state_dict(head.cls_logits.state_dict())
    layers.codes.load_state_dict(head.bbox_pred.state_dict())


def same_detections(theirs, ours):
    images, _ = scene()
    with torch.no_grad():
        expected, found = theirs.eval()(images), ours.eval()(images)
    for want, got in zip(expected, found, strict=True):
        assert len(got["boxes"]) == len(want["boxes"]) > 10
        assert torch.equal(got["labels"], want["labels"] - 1)
        assert torch.allclose(got["boxes"], want["boxes"], atol=1e-3)
        assert torch.allclose(got["scores"], want["scores"], atol=1e-5)


def same_losses(theirs, ours, weights):
    """Four losses, and the gradient of pairs of their and our ``weights``."""
    images, targets = scene()
    expected, found = theirs.train()(images, as_theirs(targets)), ours.train()(images, targets)
    assert found.keys() == NAMES.keys()
    for mine, its in NAMES.items():
        assert float(found[mine].detach()) > 0
        assert torch.allclose(found[mine], expected[its], rtol=1e-4), mine
    for its, mine in weights:
        want = torch.autograd.grad(sum(expected.values()), its, retain_graph=True)[0]
        got = torch.autograd.grad(sum(found.values()), mine, retain_graph=True)[0]
        assert float((got - want).norm() / want.norm()) < 1e-3
