"""Batches with their ground truth for any training loop, and assignments kept between epochs."""

from kedge.batches.anchor_batches import AnchorBatch, AnchorBatches
from kedge.batches.cached import Cached

__all__ = ["AnchorBatch", "AnchorBatches", "Cached"]
