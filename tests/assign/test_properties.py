"""Prediction-aware strategies on random grids: strides, offsets, image sizes, odd objects."""

import torch
from anchors.scenes import scenes
from assign.dense import ids
from assign.test_ota import dense_ota
from assign.test_tal import dense_tal
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge import Predictions
from kedge.anchors.queries.bags import most_overlapping, most_overlapping_of_grid
from kedge.assign import OTA, TAL, NoisyAnchors
from kedge.boxes import iou

FEW = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 2**31)


def predict(grid, targets, seed, classes=5):
    """Anchor boxes and object boxes, shaken; float64, so that nothing ties by rounding."""
    rng = torch.Generator().manual_seed(seed)
    shape = (targets.batch_size, len(grid))
    boxes = grid.boxes().double().expand(*shape, 4)
    if len(targets):
        chosen = torch.randint(len(targets), shape, generator=rng)
        near = torch.rand(*shape, 1, generator=rng) < 0.4
        boxes = torch.where(near, targets.boxes[chosen].double().clamp(-500, 500), boxes)
    boxes = boxes + 4 * (torch.rand(*shape, 4, generator=rng, dtype=torch.float64) - 0.5)
    boxes = torch.cat([boxes[..., :2], torch.maximum(boxes[..., :2], boxes[..., 2:])], -1)
    logits = torch.randn(*shape, classes, generator=rng, dtype=torch.float64)
    return Predictions.from_tensors(logits, boxes)


@FEW
@given(scenes(torch.float64, points=True), SEEDS, st.sampled_from([0.0, 12.0]), st.integers(1, 13))
def test_tal_is_dense_tal(scene, seed, min_side, k):
    grid, targets = scene
    predictions = predict(grid, targets, seed)
    rule = TAL(min_side=min_side, k=k)
    found = rule(grid, targets, predictions)
    assert ids(found) == sorted(dense_tal(grid, targets, predictions, rule))


@FEW
@given(scenes(torch.float64, points=True), SEEDS, st.sampled_from([0.7, 1.5, 2.5]))
def test_the_sparse_transport_is_the_dense_one(scene, seed, radius):
    """Where the supplies fit: the dense form has no plan when objects supply more than all
    anchors.
    """
    grid, targets = scene
    if int(targets.count.max()) * 20 >= len(grid):
        return
    predictions = predict(grid, targets, seed)
    rule = OTA(radius=radius)
    assert ids(rule(grid, targets, predictions)) == dense_ota(grid, targets, predictions, rule)


@FEW
@given(scenes(torch.float64), st.integers(1, 60))
def test_bags_are_the_k_anchors_of_largest_iou(scene, k):
    grid, targets = scene
    expected = []
    for g, box in enumerate(targets.boxes):
        if targets.ignore[g]:
            continue
        overlap = iou(grid.boxes(), box[None])
        order = overlap.argsort(descending=True, stable=True)[:k].tolist()
        first = int(targets.image[g]) * len(grid)
        expected += [(first + i, g) for i in order if overlap[i] > 0]
    for find in (most_overlapping, most_overlapping_of_grid):
        bag = find(grid, targets, k)
        assert sorted(zip(bag.anchor.tolist(), bag.target.tolist())) == sorted(expected)


@FEW
@given(scenes(torch.float64), SEEDS)
def test_noisy_labels_are_finite_and_in_range(scene, seed):
    grid, targets = scene
    found = NoisyAnchors()(grid, targets, predict(grid, targets, seed))
    assert ((found.quality >= 0) & (found.quality <= 1)).all()
    assert torch.isfinite(found.weight).all()
