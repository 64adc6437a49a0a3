"""Parts by name, with settings: ``tal``, ``tal:k=10,beta=4``, ``{"name": "tal", "k": 10}``.

One way for configuration files and the command line to say which strategy, coder, sampler, loss or
suppression is meant. Names come from a table of each room; settings are checked against the part's
own keyword arguments, and converted to what these are annotated with.
"""

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, Literal, TypeVar, Union

T = TypeVar("T")
Spec = str | Mapping[str, Any]


def parse(spec: Spec, what: str) -> tuple[str, dict[str, Any]]:
    """Name and settings of a part; ``ValueError`` where ``spec`` says neither.

    ``what`` names the kind of part in errors ("strategy").
    """
    if isinstance(spec, Mapping):
        settings = {str(key): value for key, value in spec.items()}
        name = settings.pop("name", None)
        if not isinstance(name, str):
            raise ValueError(f"{what}: expected a name, or name: ... with settings, got {spec!r}")
        return name, settings
    name, _, rest = _bare(spec).partition(":")
    return name.strip(), assignments(rest, what)


def text_of(spec: Any) -> str:
    """A part or its settings as one text, which ``parse`` and ``assignments`` read back."""
    if isinstance(spec, Mapping):
        values = {str(key): value for key, value in spec.items()}
        name = values.pop("name", None)
        rest = ",".join(f"{key}={_nested(value)}" for key, value in values.items())
        return rest if name is None else f"{name}:{rest}" if rest else str(name)
    if isinstance(spec, (list, tuple)):
        return ",".join(_nested(item) for item in spec)
    return str(spec)


def _nested(value: Any) -> str:
    text = text_of(value)
    return f"[{text}]" if isinstance(value, (Mapping, list, tuple)) else text


def _bare(text: str) -> str:
    text = text.strip()
    return text[1:-1].strip() if text[:1] == "[" and text[-1:] == "]" else text


def assignments(text: str, what: str) -> dict[str, Any]:
    """``"k=10,beta=4"`` as a dictionary of texts. A list in brackets holds commas of its own."""
    settings: dict[str, Any] = {}
    for word in _words(text):
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"{what}: expected key=value between commas, got {word!r}")
        settings[key.strip()] = value.strip()
    return settings


def listed(text: str) -> list[str]:
    """``"atss,tal:k=10,beta=4"`` as one text a part: what is no name belongs to the one before."""
    parts: list[str] = []
    for word in _words(text):
        if parts and "=" in word and ":" not in word.partition("=")[0]:
            parts[-1] += f",{word.strip()}"
        else:
            parts.append(word.strip())
    return parts


def _words(text: str) -> list[str]:
    words, depth, word = [], 0, ""
    for letter in text:
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and depth == 0:
            words.append(word)
            word = ""
        else:
            word += letter
    return [word for word in [*words, word] if word.strip()]


def find(table: Mapping[str, T], name: str, what: str) -> T:
    """The entry called ``name``, in any case, with - or _; also by the name of its class.

    ``ValueError`` lists the names.
    """
    by_class = {getattr(made, "__name__", key).lower(): made for key, made in table.items()}
    wanted = name.lower().replace("-", "_")
    found = table.get(wanted, by_class.get(wanted.replace("_", "")))
    if found is None:
        raise ValueError(f"no {what} {name!r}{near(name, table)}; there are {', '.join(table)}")
    return found


def near(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'tal'?`` where a known name is nearly ``name``, else nothing."""
    by_lower = {word.lower(): word for word in known}
    close = difflib.get_close_matches(name.lower().replace("-", "_"), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


def says_none(value: Any) -> bool:
    """Whether a value, from a file or typed, means none: None itself, "none" or "null"."""
    return value is None or (isinstance(value, str) and value.lower() in ("none", "null"))


def build(table: Mapping[str, Callable[..., T]], spec: Spec, what: str) -> T:
    """The part that ``spec`` means, from a ``table`` of names.

    Raises ``ValueError`` naming the part and the setting for an unknown name, a setting that it
    does not have, or a value that does not fit.
    """
    name, settings = parse(spec, what)
    make = find(table, name, what)
    return make(**checked(make, settings, f"{what} {name}"))


def checked(
    make: Callable[..., Any], settings: Mapping[str, Any], what: str, without: Sequence[str] = ()
) -> dict[str, Any]:
    """``settings`` in the types of ``make``'s keyword arguments (``without`` some of them);
    ``ValueError`` names what is not one of them, or does not fit."""
    accepted = {key: kind for key, kind in keywords(make).items() if key not in without}
    values = {}
    for key, value in settings.items():
        if key not in accepted:
            known = ", ".join(accepted) or "no settings"
            raise ValueError(
                f"{what}: unknown setting {key!r}{near(key, accepted)} (it has {known})"
            )
        try:
            values[key] = convert(value, accepted[key])
        except ValueError as error:
            raise ValueError(f"{what}: {key}: {error}") from None
    return values


def keywords(make: Callable[..., Any]) -> dict[str, Any]:
    """Name and annotation of every keyword-only argument; of a dataclass, of every field."""
    target = make.__init__ if inspect.isclass(make) else make  # pyright: ignore
    hints, every = typing.get_type_hints(target), is_dataclass(make)
    return {
        name: hints.get(name, Any)
        for name, parameter in inspect.signature(make).parameters.items()
        if every or parameter.kind is parameter.KEYWORD_ONLY
    }


def convert(value: Any, kind: Any) -> Any:
    """``value``, from a file or typed, as ``kind``; ``ValueError`` where it is none."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(value, inner)
    if origin is Literal:
        for one in inner:
            if str(one) == str(value):
                return one
        raise ValueError(f"expected {' or '.join(map(repr, inner))}, got {value!r}")
    if origin in (tuple, list, Sequence):
        return _several(value, inner, origin)
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in words:
            raise ValueError(f"expected true or false, got {value!r}")
        return words[str(value).lower()]
    if kind in (int, float):
        return _number(value, kind)
    return value


def _number(value: Any, kind: type) -> Any:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"expected a number, got {value!r}") from None
    if isinstance(value, bool) or (kind is int and number != int(number)):
        raise ValueError(f"expected a {'whole ' if kind is int else ''}number, got {value!r}")
    return kind(number)


def _one_of(value: Any, kinds: tuple[Any, ...]) -> Any:
    if says_none(value):
        if type(None) in kinds:
            return None
        raise ValueError("may not be none")
    problem: ValueError | None = None
    for kind in sorted((k for k in kinds if k is not type(None)), key=lambda k: k is str):
        try:
            return convert(value, kind)
        except ValueError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _several(value: Any, kinds: tuple[Any, ...], origin: Any) -> Any:
    if isinstance(value, str):
        text = value.strip()
        value = _words(text[1:-1] if text[:1] in ("[", "(") else text)
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected a list, got {value!r}")
    if origin is not tuple or (len(kinds) == 2 and kinds[1] is Ellipsis):
        return tuple(convert(item, kinds[0] if kinds else Any) for item in value)
    if kinds and len(value) != len(kinds):
        raise ValueError(f"expected {len(kinds)} values, got {len(value)}")
    return tuple(convert(item, kind) for item, kind in zip(value, kinds))
