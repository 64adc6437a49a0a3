"""OpenVINO files: FILE.xml and FILE.bin beside it, written from ONNX and opened by OpenVINO."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import openvino
import torch
from torch import Tensor

from kedge.export.facts import KEY, Facts, facts_from
from kedge.files import replacing


def save_openvino(model: onnx.ModelProto, facts: Facts, path: Path) -> None:
    """Writes the model with its facts; the weights take their place before the graph does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        source, made = Path(folder) / "model.onnx", Path(folder) / "model.xml"
        onnx.save_model(model, str(source))
        core: Any = openvino.Core()  # its converter would tell its makers of every use
        converted = core.read_model(str(source))
        converted.set_rt_info(facts.as_text(), KEY)
        openvino.save_model(converted, str(made), compress_to_fp16=False)
        for suffix in (".bin", ".xml"):
            with replacing(path.with_suffix(suffix)) as part:
                made.with_suffix(suffix).replace(part)


class OpenVINOSession:
    """An OpenVINO file, open on the CPU, with as many threads as torch has."""

    def __init__(self, path: Path) -> None:
        if not path.with_suffix(".bin").is_file():
            raise ValueError(f"{path}: its weights, {path.with_suffix('.bin').name}, are missing")
        core: Any = openvino.Core()
        try:
            model = core.read_model(str(path))
        except RuntimeError as error:
            raise ValueError(f"{path}: OpenVINO cannot read it ({error})") from None
        stated = model.get_rt_info(KEY).astype(str) if model.has_rt_info(KEY) else None
        self.facts = facts_from(stated, path)
        settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
        settings |= {"INFERENCE_PRECISION_HINT": "f32"}
        self._compiled = core.compile_model(model, "CPU", settings)

    def __call__(self, images: Tensor) -> Sequence[Tensor]:
        """The outputs for images (B, 3, H, W)."""
        found = self._compiled(images.numpy())
        return [torch.from_numpy(found[name].copy()) for name in self.facts.outputs]
