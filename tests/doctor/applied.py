"""What stands in a cure, applied; and which checks name cures of a computed effect."""

import ast
import pkgutil
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

import kedge.train.run
from kedge.cli import run
from kedge.train.config import TrainConfig


def begun(cure: str, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """The settings with which the ``kedge train`` of a cure would begin."""
    command = re.search(r"kedge train .*", cure)
    assert command is not None, cure
    settings = []

    class Begun(Exception):
        pass

    def begin(config: TrainConfig, **_: object) -> None:
        settings.append(config)
        raise Begun

    words = shlex.split(command[0], comments=True)[1:]
    with monkeypatch.context() as patch:
        patch.setattr(kedge.train.run, "train", begin)
        with pytest.raises(Begun):
            run(words)
    return settings[0]


def promising(checks: ModuleType) -> set[str]:
    """The files of ``checks`` that make a finding with a predicted effect."""
    found = set()
    for module in pkgutil.iter_modules(checks.__path__):
        tree = ast.parse(Path(checks.__path__[0], f"{module.name}.py").read_text())
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        words = {word.arg for call in calls if _name(call) == "Finding" for word in call.keywords}
        if "predicted" in words:
            found.add(module.name)
    return found


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""
