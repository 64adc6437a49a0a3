"""AlignedOTA beside DAMO-YOLO's own assigner; KEDGE_DAMO_YOLO names a checkout of it.

Objects of 24 px and more on a head in training: each has predictions that overlap it. One that has
none takes anchors at a great cost there, and none here.
"""

import sys
from importlib import import_module
from types import ModuleType

import pytest
import torch
from parity.cases import images, points, scene
from parity.checkouts import file_of, needs_checkout

from kedge.assign import AlignedOTA

CHECKOUT = ("KEDGE_DAMO_YOLO", "damo/base_models/core/ota_assigner.py")
OURS = {"candidate_topk": "k", "center_radius": "radius"}
pytestmark = needs_checkout(*CHECKOUT)


def theirs(**settings):
    """Their assigner; of the package the files that it needs alone are loaded."""
    package = ModuleType("damo_core")
    package.__path__ = [str(file_of(*CHECKOUT).parent)]
    sys.modules.setdefault("damo_core", package)
    return import_module("damo_core.ota_assigner").AlignOTAAssigner(**settings)


@pytest.mark.parametrize("settings", [{}, {"candidate_topk": 3, "center_radius": 1.5}], ids=str)
@pytest.mark.parametrize("seed", range(10))
def test_the_same_anchors_answer(seed, settings):
    grid, peer = points(), theirs(**settings)
    ours = AlignedOTA(**{OURS[name]: value for name, value in settings.items()})
    targets, predictions = scene(grid, seed, counts=(6, 0, 1, 14), side=(24.0, 120.0))
    found = ours(grid, targets, predictions).dense()
    priors = torch.cat([grid.points(), grid.stride()], 1)
    for number, (boxes, labels, logits, predicted) in enumerate(images(targets, predictions)):
        got = peer.assign(logits.sigmoid(), priors, predicted, boxes, labels)
        assert torch.equal(found[number], got.gt_inds - 1)
        assert (found[number] >= 0).any() == (len(boxes) > 0)
