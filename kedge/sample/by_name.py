"""The samplers by name: the one table of them."""

from collections.abc import Callable

from kedge.sample.hard import OHEM, HardNegatives
from kedge.sample.iou_balanced import IoUBalancedNegatives
from kedge.sample.sampler import Sampler
from kedge.sample.simple import All, RandomSample

SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "all": All,
    "random": RandomSample,
    "hard_negatives": HardNegatives,
    "ohem": OHEM,
    "iou_balanced": IoUBalancedNegatives,
}
