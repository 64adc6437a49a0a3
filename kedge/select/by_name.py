"""The suppressions by name, the one table of them, and selections from settings."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from kedge.parts import Spec, build, checked, says_none
from kedge.select.selection import Selection
from kedge.select.suppress import NMS, DIoUNMS, Fusion, KeepAll, MatrixNMS, SoftNMS, Suppression
from kedge.select.vote import ScoreVoting

SUPPRESSIONS: dict[str, Callable[..., Suppression]] = {
    "nms": NMS,
    "soft_nms": SoftNMS,
    "diou_nms": DIoUNMS,
    "matrix_nms": MatrixNMS,
    "fusion": Fusion,
    "none": KeepAll,
}
VOTES: dict[str, Callable[..., ScoreVoting]] = {"score_voting": ScoreVoting}


def changed_selection(selection: Selection, settings: Mapping[str, Any]) -> Selection:
    """``selection`` with other settings: ``{"score": 0.01, "suppress": "soft_nms", "most": 300}``;
    ``ValueError`` names what is none, or does not fit."""
    values = dict(settings)
    parts: dict[str, Any] = {}
    if "suppress" in values:
        parts["suppress"] = build(SUPPRESSIONS, _spec(values.pop("suppress")), "suppress")
    if "vote" in values:
        vote = values.pop("vote")
        parts["vote"] = None if says_none(vote) else build(VOTES, _spec(vote), "vote")
    return replace(selection, **checked(Selection, values, "selection"), **parts)


def _spec(value: Any) -> Spec:
    return value if isinstance(value, Mapping) else str(value)
