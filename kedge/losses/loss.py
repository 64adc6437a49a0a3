"""What a detector's loss is to its stage."""

from typing import NamedTuple, Protocol

from torch import Tensor

from kedge.sample import Sample
from kedge.scores import ClassScores
from kedge.types import Assignment, Predictions


class Losses(NamedTuple):
    """Named scalar losses, to be added up; and the part of the class and objectness loss that
    anchors without an object make, () in [0, 1] without a graph, where the loss knows it."""

    terms: dict[str, Tensor]
    background_share: Tensor | None = None


class Loss(Protocol):
    """The losses of an assignment's pairs and of background.

    It obeys the sample, the pairs' ``weight`` and ``quality`` and the ``background_weight`` of an
    assignment, or raises ``ValueError`` and names what it cannot.
    """

    @property
    def class_scores(self) -> ClassScores:
        """How the class outputs that it trains are read."""
        ...

    @property
    def balances(self) -> bool:
        """Whether background does not drown rare positives."""
        ...

    def __call__(
        self, predictions: Predictions, assignment: Assignment, sample: Sample | None = None
    ) -> Losses:
        """The losses of a batch; without ``sample`` of every pair and all background."""
        ...

    def per_anchor(self, predictions: Predictions, assignment: Assignment) -> Tensor:
        """(M,) what every anchor costs now, for samplers of hard examples; without a graph."""
        ...
