"""Which anchors enter the losses: ``sampler(assignment, loss, iou, generator) -> Sample``."""

from kedge.sample.hard import OHEM, HardNegatives
from kedge.sample.iou_balanced import IoUBalancedNegatives
from kedge.sample.sampler import Sample, Sampler
from kedge.sample.simple import All, RandomSample

__all__ = [
    "OHEM",
    "All",
    "HardNegatives",
    "IoUBalancedNegatives",
    "RandomSample",
    "Sample",
    "Sampler",
]
