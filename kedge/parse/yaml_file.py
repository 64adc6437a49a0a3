"""YAML without its traps: aliases that multiply, nesting without end, values that are no value."""

from pathlib import Path
from typing import Any

from kedge.parse.text import read_text

_DEEPEST, _MOST = 50, 1_000_000


def read_yaml(file: Path, loader: Any = None) -> Any:
    """A YAML file as plain Python objects, by the safe loader or a subclass of it, `loader`, that
    knows more tags. Raises `ValueError` naming the file and, where the parser knows it, line and
    column."""
    import yaml

    text = read_text(file)
    if loader is None:
        loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        refusal = _refusal(text, yaml, loader)
        if refusal is None:
            return yaml.load(text, loader)
    except yaml.YAMLError as problem:
        raise ValueError(f"{file}: is not YAML: {' '.join(str(problem).split())}") from problem
    except _CONSTRUCTORS as problem:
        raise ValueError(f"{file}: holds a value that YAML cannot read: {problem!r}") from problem
    raise ValueError(f"{file}: {refusal}")


# what its constructors raise: month 13 of a date, "!!int x", a list as a key, ...
_CONSTRUCTORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def _refusal(text: str, yaml: Any, loader: Any) -> str | None:
    """Why a document is not to be built: too deep, or too large once its aliases are filled in.

    Counts over the events: a node's size is 1 and what it holds, an alias has its anchor's size.
    """
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, loader):
        if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            open_nodes.append((event.anchor, 1))
            if len(open_nodes) > _DEEPEST:
                return f"is nested deeper than {_DEEPEST} levels: no data set is"
            continue
        if isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1
        elif isinstance(event, yaml.AliasEvent):
            anchor, size = None, sizes.get(event.anchor, _MOST)  # unknown yet: it holds itself
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            anchor, size = open_nodes.pop()
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        outer, before = open_nodes[-1]
        open_nodes[-1] = (outer, before + size)
        if before + size > _MOST:
            return "its aliases (*name) multiply without end: write them out"
    return None
