"""What another library's loss can carry of an assignment, and the refusal of the rest."""

from collections.abc import Callable, Set
from typing import Literal

from kedge.types import Assigner, Assignment

Carried = Literal["ignored", "outside", "weight", "quality", "shared", "background", "likelihood"]


def _outside(assignment: Assignment) -> bool:
    """Whether some pair's point is not inside its object."""
    assert assignment.anchors is not None
    point, box = assignment.anchors.points(assignment.anchor), assignment.boxes
    return not bool(((point > box[:, :2]) & (point < box[:, 2:])).all())


_SAYS: dict[Carried, tuple[str, Callable[[Assignment], bool]]] = {
    "ignored": ("anchors that are neither positive nor background", lambda a: len(a.ignored) > 0),
    "outside": ("anchors whose centre is outside their object", _outside),
    "weight": ("weights of its pairs", lambda a: bool((a.weight != 1).any())),
    "quality": ("soft class targets", lambda a: bool((a.quality != 1).any())),
    "shared": ("anchors that answer for several objects", lambda a: bool(_repeats(a))),
    "background": ("weights of background", lambda a: a.background_weight is not None),
    "likelihood": ("losses of its own", lambda a: a.likelihood is not None),
}


def _repeats(assignment: Assignment) -> bool:
    return len(assignment.anchor.unique()) < len(assignment)


def require_carried(
    assignment: Assignment, carried: Set[Carried], rule: Assigner, peer: str, cure: str
) -> None:
    """``ValueError`` where ``assignment`` says what ``peer``'s loss has no place for.

    Asked of every batch, so it holds for a strategy of one's own as well.
    """
    asked = [row for name, row in _SAYS.items() if name not in carried]
    lost = [text for text, says in asked if says(assignment)]
    if lost:
        raise ValueError(
            f"{type(rule).__name__} gives {' and '.join(lost)}, for which the loss of {peer} has "
            f"no place: {cure}"
        )
