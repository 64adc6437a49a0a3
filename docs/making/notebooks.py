"""Executes the notebooks of docs/notebooks and makes pages of them.

A notebook is a Python file in cells (``# %%``, and ``# %% [markdown]`` for text), which editors and
jupytext read as one. What it claims it asserts.
"""

import ast
import contextlib
import io
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from written import ROOT

FOLDER = ROOT / "docs" / "notebooks"
NOTEBOOKS = {
    "design_anchors": "Design anchors",
    "swap_a_strategy": "Swap a strategy",
    "learn_anchors": "Learn anchors",
    "explain_a_failure": "Explain a failure",
}


def cells(text: str) -> list[tuple[str, str]]:
    """("text" or "code", source) of every cell."""
    found = []
    for part in re.split(r"^# %%", text, flags=re.M)[1:]:
        head, _, body = part.partition("\n")
        if "[markdown]" in head:
            found.append(("text", re.sub(r"^# ?", "", body.strip(), flags=re.M)))
        else:
            found.append(("code", body.strip()))
    return found


def run_cell(code: str, names: dict[str, Any]) -> tuple[str, Any]:
    """What a cell prints, and the value of its last line, if that is an expression."""
    tree, printed, value = ast.parse(code), io.StringIO(), None
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<cell>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    return printed.getvalue(), value


def execute(name: str) -> dict[str, str]:
    """The page of a notebook, executed, and what it shows, by their paths in the site."""
    parts = [f"[Download as a notebook]({name}.ipynb)"]
    files: dict[str, str] = {}
    names: dict[str, Any] = {"__name__": name}
    source = cells((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    for kind, text in source:
        if kind == "text":
            parts.append(text)
            continue
        printed, value = run_cell(text, names)
        parts.append(f"```python\n{text}\n```")
        if printed.strip():
            parts.append(f"```text\n{printed.rstrip()}\n```")
        if hasattr(value, "save"):
            file = f"{name}-{len(files) + 1}.html"
            files[f"notebooks/{file}"] = _saved(value)
            parts.append(
                f'<iframe class="view" loading="lazy" title="Live view" src="{file}"></iframe>'
            )
    title = parts.pop(1)  # the heading comes first
    head, _, rest = title.partition("\n\n")
    page = "\n\n".join([head, parts[0], rest, *parts[1:]]) + "\n"
    return {f"notebooks/{name}.md": page, f"notebooks/{name}.ipynb": notebook(source), **files}


def _saved(view: Any) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return view.save(Path(folder) / "view.html").read_text(encoding="utf-8")


def notebook(source: list[tuple[str, str]]) -> str:
    """The cells as a file of Jupyter's, without outputs."""
    found = []
    for i, (kind, text) in enumerate(source):
        cell: dict[str, Any] = {"id": f"cell-{i}", "metadata": {}}
        cell["source"] = text.splitlines(keepends=True)
        if kind == "code":
            found.append(cell | {"cell_type": "code", "outputs": [], "execution_count": None})
        else:
            found.append(cell | {"cell_type": "markdown"})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": found, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1) + "\n"


def notebook_pages() -> dict[str, str]:
    """All notebooks, executed: minutes."""
    pages: dict[str, str] = {}
    for name in NOTEBOOKS:
        pages |= execute(name)
    return pages
