"""A Setup for the doctor from another library's model or configuration."""

import re
import sys
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from typing import Any

import yaml
from torch import nn

from kedge.doctor.setup import Setup
from kedge.interop.torchvision.setup import setup_of
from kedge.parse.yaml_file import read_yaml

PEERS = {"mmdet": "mmdetection", "ultralytics": "ultralytics", "detectron2": "detectron2"}


def setup_of_model(text: str, image_size: tuple[int, int]) -> Setup:
    """The anchors, the rule and the coder of what ``text`` names.

    - ``module:function``: the model that the function makes, which takes nothing; of torchvision,
      MMDetection, Detectron2 or Ultralytics. The module is looked for in the present folder, too.
    - a configuration of MMDetection (.py) or of Detectron2 (.yaml), which is read without it;
    - a yaml of Ultralytics, or its name; one of YOLOv3 or YOLOv5 with ``anchors:`` is read without
      it.

    ``image_size`` (H, W): the network's input.

    Errors: ``ValueError`` for other text, weights that are pickles (.pt, .pth), a LazyConfig,
    what is not there or fails, and what is not understood.
    """
    flags = f"--model {text}"
    if ":" not in text and text.endswith(".py"):
        if _is_lazy(Path(text)):
            raise ValueError(
                f"--model: {text} is a LazyConfig of Detectron2, of which only yaml is read: name "
                "a function of yours that makes the model, as module:function"
            )
        reader = _reader("mmdetection", "setup", text)
        return reader.setup_of_config(Path(text), image_size, flags=flags)
    if text.endswith((".yaml", ".yml")):
        return _of_yaml(text, image_size, flags)
    if text.endswith((".pt", ".pth")):
        raise ValueError(
            f"--model: {text} is a pickle, which could run anything and is not opened: name a "
            "function of yours that loads it, as module:function"
        )
    module, _, function = text.partition(":")
    if not module or not function:
        raise ValueError(
            f"--model: expected module:function, a configuration of MMDetection (.py), or a yaml "
            f"of Ultralytics or Detectron2, got {text!r}"
        )
    model = _made(module, function)
    if not isinstance(model, nn.Module):
        raise ValueError(f"--model: {text} gives a {type(model).__name__}, no torch module")
    peer = _peer(model)
    read = setup_of if peer is None else _reader(peer, "setup", text).setup_of
    return read(model, image_size, flags=flags)


def _of_yaml(text: str, image_size: tuple[int, int], flags: str) -> Setup:
    path = Path(text)
    values = _sections(path) if path.is_file() else {}
    if {"MODEL", "_BASE_"} & values.keys():
        reader = _reader("detectron2", "config", text)
        return reader.setup_of_config(path, image_size, flags=flags)
    if isinstance(values.get("anchors"), (list, int)):
        reader = _reader("ultralytics", "anchors_yaml", text)
        return reader.setup_of_anchors(values, image_size, title=path.name, flags=flags)
    if path.is_file() and not {"backbone", "head"} <= values.keys():
        raise ValueError(
            f"--model: {text}: neither backbone and head, as Ultralytics, nor MODEL, as Detectron2"
        )
    return _reader("ultralytics", "setup", text).setup_of_yaml(text, image_size, flags=flags)


def _is_lazy(path: Path) -> bool:
    """Whether it imports Detectron2; MMDetection's may name it, as the source of weights."""
    imports = rb"^\s*(from|import)\s+detectron2\b"
    return path.is_file() and re.search(imports, path.read_bytes(), re.MULTILINE) is not None


def _sections(path: Path) -> dict[str, Any]:
    """What a yaml holds; tags of Python are left out."""
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    try:
        values = read_yaml(path, loader)
    except ValueError as error:
        raise ValueError(f"--model: {error}") from error
    return values if isinstance(values, dict) else {}


def _peer(model: nn.Module) -> str | None:
    """The adapter whose library has classes in ``model``; None: torchvision's."""
    bases = (base for part in model.modules() for base in type(part).__mro__)
    roots = (base.__module__.split(".")[0] for base in bases)
    return next((PEERS[root] for root in roots if root in PEERS), None)


def _reader(peer: str, module: str, text: str) -> Any:
    """A module of an adapter, which may need the library."""
    try:
        return import_module(f"kedge.interop.{peer}.{module}")
    except ImportError as error:
        raise ValueError(f"--model: {text}: its library is missing: {error}") from None


def _made(module: str, function: str) -> Any:
    """What the function gives, while the present folder is where modules are looked for first."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return getattr(import_module(module), function)()
    except (Exception, SystemExit) as error:
        raise ValueError(f"--model: {module}:{function} fails: {_told(error)}") from None
    finally:
        if here in sys.path:
            sys.path.remove(here)


def _told(error: BaseException) -> str:
    """Kind and words of an error, and where it is from: the last line in the present folder, else
    the last at all."""
    frames = [f for f in extract_tb(error.__traceback__)[1:] if "importlib" not in f.filename]
    own = [f for f in frames if Path(f.filename).is_relative_to(Path.cwd())]
    own = [f for f in own if "site-packages" not in f.filename]
    place = "".join(f" ({f.filename}, line {f.lineno})" for f in (own or frames)[-1:])
    return f"{type(error).__name__}: {error}{place}"
