"""From a detector to a file that runs without it."""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kedge.detectors.detector import Detector
from kedge.detectors.pictures import extra
from kedge.detectors.predict import evaluating
from kedge.export.facts import Facts, facts_of
from kedge.export.forms import FORMS, Form
from kedge.export.static_of import static
from kedge.export.to_torch import save_torch

Kind = Literal["onnx", "int8", "openvino", "torch-export"]
SUFFIXES: dict[Kind, str] = {
    "onnx": ".onnx",
    "int8": ".onnx",
    "openvino": ".xml",
    "torch-export": ".pt2",
}


def export(
    detector: Detector,
    path: Path | str,
    *,
    to: Kind = "onnx",
    form: Form = "nms",
    image_size: tuple[int, int] | None = None,
    calibration: Iterable[NDArray[np.float32]] = (),
) -> Facts:
    """Writes a detector as a file of fixed input size and any batch; what the file says of itself.

    ``to``: an ONNX file, the same with the network in int8, OpenVINO's pair of files, or a program
    of ``torch.export``. ``form``: "nms" gives detections, padded, with their count; "decoded" all
    boxes and scores; "maps" what the network says. ``image_size`` (H, W): by default the detector's
    ``input_size``. ``calibration``: images (1, 3, H, W) in [0, 1], for int8.

    The file takes its place when it is whole. The detector is left as it was.

    Raises ``ValueError`` for a detector whose boxes no graph of fixed sizes can find, or a suffix
    that is another format's; ``ImportError`` says what to install.
    """
    path = Path(path)
    if path.suffix.lower() != SUFFIXES[to]:
        raise ValueError(f"{path}: a file of {to} ends in {SUFFIXES[to]}, so that others know it")
    size = image_size or detector.input_size
    if size is None:
        raise ValueError(
            "image_size: this detector resizes images itself; say the (H, W) of the file's input, "
            "into which images are letterboxed"
        )
    home = next(detector.parameters()).device
    try:
        with evaluating(detector.cpu()):
            return _write(detector, path, size, to, form, calibration)
    finally:
        detector.to(home)


def _write(
    detector: Detector,
    path: Path,
    size: tuple[int, int],
    to: Kind,
    form: Form,
    calibration: Iterable[NDArray[np.float32]],
) -> Facts:
    fixed = static(detector, size)
    graph = FORMS[form](fixed).eval()
    facts = facts_of(detector, type(detector).__name__, form, fixed, tuple(graph.outputs))
    if to == "torch-export":
        save_torch(graph, facts, path)
        return facts
    onnx = _module("to_onnx", "export")
    model = onnx.onnx_model(graph)
    if to == "openvino":
        _module("to_openvino", "openvino").save_openvino(model, facts, path)
        return facts
    if to == "int8":
        model, facts = _module("int8", "export").quantised(model, calibration), facts.in_int8()
    onnx.save_onnx(model, facts, path)
    return facts


def _module(name: str, needs: str) -> Any:
    """A module of this room whose imports not everybody has."""
    with extra(needs, "kedge export"):
        return import_module(f"kedge.export.{name}")
