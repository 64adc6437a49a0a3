"""What prediction-aware strategies promise beyond the contract: predictions of any kind."""

import pytest
import torch
from assign.dense import points, scene

from kedge import Predictions, Targets
from kedge.anchors.boxes import Free
from kedge.assign.auto_assign import AutoAssign
from kedge.assign.dw import DW
from kedge.assign.dynamic_soft_label import DynamicSoftLabel
from kedge.assign.free_anchor import FreeAnchor
from kedge.assign.hungarian import Hungarian
from kedge.assign.lada import LADA
from kedge.assign.mal import MAL
from kedge.assign.noisy_anchors import NoisyAnchors
from kedge.assign.ota import OTA
from kedge.assign.paa import PAA
from kedge.assign.sim_ota import SimOTA
from kedge.assign.tal import TAL

EVERY = [
    PAA(),
    FreeAnchor(),
    MAL(progress=0.4),
    NoisyAnchors(),
    LADA(),
    OTA(),
    SimOTA(),
    SimOTA(candidates="own"),
    TAL(),
    TAL.ultralytics(),
    AutoAssign(),
    AutoAssign(num_classes=4, force_k=9),
    DW(),
    DynamicSoftLabel(),
    DynamicSoftLabel(candidates="own"),
    Hungarian(),
]
every = pytest.mark.parametrize("assign", EVERY, ids=lambda a: type(a).__name__)


def rows(assignment):
    """{(anchor, target): (weight, quality)}."""
    keys = zip(assignment.anchor.tolist(), assignment.target.tolist())
    return dict(zip(keys, zip(assignment.weight.tolist(), assignment.quality.tolist())))


def same(a, b):
    assert rows(a).keys() == rows(b).keys()
    for key, value in rows(a).items():
        assert rows(b)[key] == pytest.approx(value, rel=1e-4, abs=1e-6), key
    assert sorted(a.ignored.tolist()) == sorted(b.ignored.tolist())


def valid(assignment, grid, targets):
    assert assignment.shape == (targets.batch_size, len(grid))
    assert torch.isfinite(assignment.weight).all()
    assert torch.isfinite(assignment.quality).all()
    assert (assignment.weight >= 0).all()
    assert ((assignment.quality >= 0) & (assignment.quality <= 1)).all()
    assert torch.equal(targets.image[assignment.target], assignment.image)
    assert not targets.ignore[assignment.target].any()
    assert not torch.isin(assignment.ignored, assignment.anchor).any()
    assert not assignment.weight.requires_grad
    assert assignment.dense().shape == assignment.shape


@every
@pytest.mark.parametrize("what", ["zero boxes", "huge boxes", "flipped boxes", "scores", "far"])
def test_awkward_predictions_give_no_nan(assign, what):
    grid = points()
    targets, predictions = scene(grid, 4)
    logits, boxes = predictions.logits, predictions.codes
    if what == "zero boxes":
        boxes = boxes * 0
    elif what == "huge boxes":
        boxes = boxes * 1e4
    elif what == "flipped boxes":
        boxes = boxes.flip(-1)
    elif what == "scores":
        logits = 500 * logits.sign()
    else:
        boxes = boxes + 1e5
    valid(assign(grid, targets, Predictions.from_tensors(logits, boxes)), grid, targets)


@every
def test_a_crowd_ignores_what_it_covers_and_answers_for_nothing(assign):
    grid = points()
    targets, predictions = scene(grid, 8, counts=(4,))
    crowd = torch.tensor([[0.0, 0, 60, 60]])
    mixed = Targets.from_list(
        [
            {
                "boxes": torch.cat([targets.boxes, crowd]),
                "labels": torch.cat([targets.labels, torch.tensor([0])]),
                "iscrowd": torch.tensor([0, 0, 0, 0, 1]),
            }
        ]
    )
    found = assign(grid, mixed, predictions)
    valid(found, grid, mixed)
    assert rows(found).keys() == rows(assign(grid, targets, predictions)).keys()
    covered = set(grid.covered(mixed).tolist())
    assert set(found.ignored.tolist()) == covered - set(found.anchor.tolist())
    assert len(covered) > 10


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_predictions_and_autocast(assign, dtype):
    """Geometry stays float32: the answer is that of the rounded predictions in float32."""
    grid = points()
    targets, predictions = scene(grid, 9)
    half = Predictions.from_tensors(predictions.logits.to(dtype), predictions.codes.to(dtype))
    full = Predictions.from_tensors(half.logits.float(), half.codes.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = assign(grid, targets, half)
    same(found, assign(grid, targets, full))


@every
def test_anchors_off_the_grid(assign):
    """The same boxes as a list; only strategies that count in strides or levels may differ."""
    if isinstance(assign, Hungarian):
        assign = Hungarian(image_size=(96, 128))
    grid = points(strides=(8,))
    targets, predictions = scene(grid, 11)
    found = assign(Free(grid.boxes()), targets, predictions)
    same(found, assign(grid, targets, predictions))


@every
def test_thousands_of_objects(assign):
    if isinstance(assign, Hungarian):
        pytest.skip("one-to-one matching of thousands is a matter of minutes in any form")
    grid = points((320, 448))
    targets, predictions = scene(grid, 12, counts=(2000, 0, 500), side=(3.0, 40.0))
    valid(assign(grid, targets, predictions), grid, targets)
