"""A Setup for the doctor from another library's model."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from kedge.doctor.setup import Setup
from kedge.interop.torchvision.setup import setup_of


def setup_of_model(text: str, image_size: tuple[int, int]) -> Setup:
    """The anchors, the rule and the coder of the model that ``text``, "module:function", makes.

    The module is looked for in the present folder, too; the function takes nothing and gives
    torchvision's RetinaNet, SSD or R-CNN. ``image_size`` (H, W): the network's input.

    Errors: ``ValueError`` for other text, a module or a function that is not there or fails, and
    for other models.
    """
    module, _, function = text.partition(":")
    if not module or not function:
        raise ValueError(f"--model: expected module:function, got {text!r}")
    model = _made(module, function)
    if not isinstance(model, nn.Module):
        raise ValueError(f"--model: {text} gives a {type(model).__name__}, no torch module")
    return setup_of(model, image_size, flags=f"--model {text}")


def _made(module: str, function: str) -> Any:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        make = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"--model: {error}") from error
    finally:
        sys.path.remove(here)
    try:
        return make()
    except Exception as error:
        raise ValueError(f"--model: {function}() of {module} failed: {error}") from error
