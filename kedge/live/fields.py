"""The settings of every strategy as a page can offer them, from the strategies' own signatures."""

import inspect
import types
import typing
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, TypedDict, Union

from kedge.assign.by_name import STRATEGIES
from kedge.parts import keywords, says_none

_OVERLAPS = {"min_low_quality", "ignore_above"}  # no strategy refuses an IoU above 1 there


class FieldForm(TypedDict):
    """``kind``: "number" (``low`` to ``high`` by ``step``), "choice", "flag" or "text".

    ``optional``: None is a value of it.
    """

    name: str
    kind: Literal["number", "choice", "flag", "text"]
    default: Any
    optional: bool
    choices: list[Any]
    low: float
    high: float
    step: float


class StrategyForm(TypedDict):
    """A strategy to choose: its fields, the first line of its description, and all of it."""

    name: str
    title: str
    summary: str
    text: str
    fields: list[FieldForm]


def strategy_forms() -> list[StrategyForm]:
    """Every strategy there is."""
    return [_form(name, make) for name, make in STRATEGIES.items()]


def _form(name: str, make: Callable[..., Any]) -> StrategyForm:
    text = inspect.getdoc(make) or ""
    parameters, known = inspect.signature(make).parameters, keywords(make)
    return {
        "name": name,
        "title": getattr(make, "__name__", name),
        "summary": " ".join(text.split("\n\n")[0].split()),
        "text": text,
        "fields": [
            *(_field(make, key, kind, parameters[key].default) for key, kind in known.items()),
            _field(make, "guarantee", bool, False),
        ],
    }


def _field(make: Callable[..., Any], name: str, kind: Any, default: Any) -> FieldForm:
    inner = typing.get_args(kind)
    union = typing.get_origin(kind) in (Union, types.UnionType)
    optional = union and type(None) in inner
    bare = next((k for k in inner if k is not type(None)), kind) if union else kind
    form: FieldForm = {
        "name": name,
        "kind": "text",
        "default": default,
        "optional": optional,
        "choices": [],
        "low": 0,
        "high": 1,
        "step": 0.01,
    }
    if typing.get_origin(bare) is Literal:
        form["kind"], form["choices"] = "choice", list(typing.get_args(bare))
    elif bare is bool:
        form["kind"] = "flag"
    elif bare in (int, float):
        form["kind"] = "number"
        form["low"], form["high"], form["step"] = _range(make, name, bare, default)
    return form


def _range(
    make: Callable[..., Any], name: str, kind: type, default: Any
) -> tuple[float, float, float]:
    """What a slider runs through: the strategy itself says which values it refuses, whatever its
    other numbers are."""
    others = [
        key
        for key, other in keywords(make).items()
        if key != name and other is float and kind is float
    ]

    def accepts(value: float) -> bool:
        return any(
            _makes(make, {name: kind(value), **more})
            for more in ({}, *({key: max(value, 0.999)} for key in others))
        )

    usual = 1.0 if says_none(default) else float(default)
    low = next((low for low in (0, 0.01, 1.01) if low < usual and accepts(low)), 0)
    if kind is int:
        return (0 if accepts(0) else 1), max(4 * usual, 8), 1
    limit = next((top for top in (0.5, 1.0) if accepts(top - 1e-3) and not accepts(top + 1e-3)), 0)
    if limit or name in _OVERLAPS:
        return low, limit or 1, 0.01
    if usual == 0:  # pixels
        return low, 64, 1
    return low, max(4 * usual, 1.0), 0.01 if usual < 1 else 0.1


def _makes(make: Callable[..., Any], settings: dict[str, Any]) -> bool:
    with suppress(ValueError):
        make(**settings)
        return True
    return False
