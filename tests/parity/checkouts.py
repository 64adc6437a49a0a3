"""Rules that no package has: the authors' own code, where a variable names a checkout of it.

Of a file a function alone is taken, so that what else the file imports need not be there.
"""

import ast
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def file_of(variable: str, path: str) -> Path:
    """The file of a checkout, whether it is there or not."""
    return Path(os.environ.get(variable, "")) / path


def needs_checkout(variable: str, path: str) -> pytest.MarkDecorator:
    """Skips a file of tests without the checkout."""
    return pytest.mark.skipif(
        not file_of(variable, path).is_file(), reason=f"{variable} names no checkout with {path}"
    )


def function_of(file: Path, name: str, **names: Any) -> Callable[..., Any]:
    """The function or method ``name`` of a file, which sees ``names`` in place of its imports."""
    tree = ast.parse(file.read_text())
    found = next(
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name
    )
    exec(compile(ast.Module([found], []), str(file), "exec"), names)
    return names[name]
