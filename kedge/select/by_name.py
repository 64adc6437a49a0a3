"""The suppressions by name, the one table of them, and selections from settings."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
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


def selection_settings(selection: Selection) -> dict[str, Any]:
    """The settings that ``changed_selection`` makes such a selection of, JSON; ``ValueError`` for a
    part that is in no table."""
    settings = {field.name: getattr(selection, field.name) for field in fields(selection)}
    settings["suppress"] = _named(SUPPRESSIONS, selection.suppress)
    settings["vote"] = None if selection.vote is None else _named(VOTES, selection.vote)
    return settings


def _named(table: Mapping[str, Callable[..., Any]], part: Any) -> dict[str, Any]:
    for name, made in table.items():
        if made is type(part):
            return {"name": name, **asdict(part)}
    raise ValueError(f"{part} has no name: there are {', '.join(table)}")


def _spec(value: Any) -> Spec:
    return value if isinstance(value, Mapping) else str(value)
