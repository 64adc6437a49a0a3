"""A yaml of Detectron2 as plain data, with the files that it is based on; nothing in it is run."""

import ast
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from kedge.parse import yaml_file as parse

_MOST_BASES = 16
_OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings of a file over those of its ``_BASE_``, which is looked for from its folder.

    Lists of numbers may stand as text or under ``!!python/object/apply:eval``, as in Detectron2's
    own ``Base-RetinaNet.yaml``: only arithmetic and one loop over a list is understood.

    Errors: ``ValueError``, which names the file: what cannot be read, other tags of Python, a base
    at an absolute path or an address, files that are based on each other.
    """
    return _read(path, ())


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    here = path.resolve()
    if here in seen or len(seen) > _MOST_BASES:
        raise ValueError(f"{path}: is based on itself")
    values = parse.read_yaml(path, _Loader)
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected settings, got a {type(values).__name__}")
    bases = values.pop("_BASE_", [])
    merged: dict[str, Any] = {}
    for base in bases if isinstance(bases, list) else [bases]:
        if str(base).startswith(("/", "~")) or "://" in str(base):
            raise ValueError(f"{path}: _BASE_ {base} is no path from its folder")
        merged = merge(merged, _read(path.parent / str(base), (*seen, here)))
    return merge(merged, values)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``below`` with the settings of ``above``, group by group."""
    out = dict(below)
    for name, value in above.items():
        old = out.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        out[name] = merge(old, value) if both else value  # pyright: ignore[reportArgumentType]
    return out


class _Loader(yaml.SafeLoader):
    """Safe YAML, with tuples and arithmetic."""


def _evaluated(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    (text,) = loader.construct_sequence(node)  # pyright: ignore[reportArgumentType]
    return arithmetic(text)


_PYTHON = "tag:yaml.org,2002:python"
_Loader.add_constructor(f"{_PYTHON}/object/apply:eval", _evaluated)
_Loader.add_constructor(f"{_PYTHON}/tuple", _Loader.construct_sequence)


def arithmetic(text: str) -> Any:
    """The numbers that ``text`` states: ``[x * 2 ** (1 / 3) for x in [32, 64]]``; lists for tuples,
    floats for whole numbers. ``ValueError`` for anything else."""
    try:
        return _value(ast.parse(str(text).strip(), mode="eval").body, {})
    except (SyntaxError, ArithmeticError, TypeError, RecursionError) as error:
        raise ValueError(f"not numbers: {text}") from error


def _value(node: ast.AST, names: Mapping[str, float]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)  # so that powers overflow instead of filling the memory
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, names)
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_value(part, names) for part in parts]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(left, names), _value(right, names))
        case ast.ListComp(
            elt=inner, generators=[ast.comprehension(target=ast.Name(id=name), iter=over, ifs=[])]
        ) if not names:
            return [_value(inner, {name: x}) for x in _value(over, names)]
    raise TypeError
