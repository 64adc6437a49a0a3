"""What is written by hand already: docstrings, tables of docs/*.md, names of tests."""

import ast
import inspect
import re
import types
import typing
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ARXIV = re.compile(r"\b(?:arXiv:)?(\d{4}\.\d{5})\b")


def linked(text: str) -> str:
    """Papers' numbers as links, and the docstrings' double backticks as Markdown's."""
    text = ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return text.replace("``", "`")


@cache
def rows(page: str) -> dict[str, dict[str, str]]:
    """The tables of a page of docs/, by the word in backticks under ``name``."""
    found: dict[str, dict[str, str]] = {}
    heads: list[str] = []
    for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("|"):
            heads = []
        elif not heads:
            heads = cells
        elif "name" in heads and set(line) - set("|- "):
            row = dict(zip(heads, cells, strict=True))
            found.setdefault(row["name"].strip("`"), row)
    return found


def described(made: Any) -> tuple[str, str, str]:
    """First paragraph, what follows, and ``Source:``, of a docstring; arguments left out."""
    text = inspect.getdoc(made) or ""
    text = re.sub(r"^Args:\n(?: .*\n|\n(?= ))*", "", text + "\n", flags=re.M)
    rest, _, source = text.partition("Source: ")
    first, _, rest = rest.partition("\n\n")
    return linked(" ".join(first.split())), linked(rest.strip()), linked(source.strip())


def arguments(made: Any) -> dict[str, str]:
    """What the ``Args:`` of a docstring say of each: several names may share a line."""
    found = re.search(r"^Args:\n((?: .*\n|\n(?= ))*)", (inspect.getdoc(made) or "") + "\n", re.M)
    said: dict[str, str] = {}
    names: list[str] = []
    for line in found[1].splitlines() if found else []:
        head = re.match(r" {4}([\w, ]+): (.*)", line)
        if head:
            names = [name.strip() for name in head[1].split(",")]
            said |= dict.fromkeys(names, head[2])
        else:
            said |= {name: f"{said[name]} {line.strip()}" for name in names}
    return {name: linked(text) for name, text in said.items()}


def kind_of(annotation: Any) -> str:
    """An annotation as a reader says it."""
    if annotation is type(None):
        return "None"
    inner = [a for a in typing.get_args(annotation) if a is not Ellipsis]
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f'"{a}"' if isinstance(a, str) else str(a) for a in inner)
    if inner and typing.get_origin(annotation) in (tuple, list):
        return f"{kind_of(inner[0])}s"
    if inner and typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " or ".join(map(kind_of, inner))
    return getattr(annotation, "__name__", str(annotation))


def default_of(make: Callable[..., Any], name: str) -> str:
    """The default of a setting; "needed" without one."""
    default = inspect.signature(make).parameters[name].default
    return "needed" if default is inspect.Parameter.empty else f"`{default!r}`"


@cache
def _parity() -> list[tuple[str, str, str]]:
    """File, test or "" for the rest of the file, and source, beside another library's own code."""
    found = []
    for path in sorted((ROOT / "tests/parity").glob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        rest = []
        for node in ast.parse(text).body:
            source = ast.get_source_segment(text, node) or ""
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.append((path.name, node.name.removeprefix("test_"), source))
            else:
                rest.append(source)
        found.append((path.name, "", "\n".join(rest)))
    return found


def parity_tests(words: tuple[str, ...]) -> str:
    """The tests of ``make parity`` that name one of the words, one line a file; empty without."""
    named = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, words))})(?![A-Za-z0-9])")
    tests: dict[str, list[str]] = {}
    for file, test, source in _parity():
        if named.search(f"{test} {source}"):
            tests.setdefault(file, []).extend([test.replace("_", " ")] if test else [])
    lines = [f"- `{file}`" + (": " if of else "") + "; ".join(of) for file, of in tests.items()]
    return "\n".join(["Tests of `make parity` that name it:\n", *lines]) if lines else ""


def said_of(made: Any, name: str) -> str:
    """What a docstring says of a setting: its argument, its bullet, or the first sentence that
    names it."""
    if name in (given := arguments(made)):
        return given[name]
    text = re.sub(r"\s*\bSource: .*", "", inspect.getdoc(made) or "", flags=re.S)
    bullet = re.search(rf"^- ``{name}``: (.*?)(?=\n- |\n\n|\Z)", text, re.M | re.S)
    if bullet:
        return linked(" ".join(bullet[1].split()))
    for sentence in re.split(r"(?<=[.;:])\s+(?=[A-Z\d`-])|\n\n", text):
        if f"``{name}" in sentence or f"`{name}" in sentence:
            return linked(" ".join(sentence.split()).removeprefix("- "))
    return ""
