"""ONNX files: written, and opened by ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from torch import Tensor

from kedge.export.facts import KEY, Facts, facts_from
from kedge.export.forms import Graph
from kedge.export.trace import example, quietly, traced
from kedge.files import replacing

_PATH = "static.detector."


def onnx_model(graph: Graph) -> onnx.ModelProto:
    """The ONNX form of a graph: "images" to the names of its outputs, any number of images."""
    program = traced(graph)
    with quietly(), torch.no_grad():
        made = torch.onnx.export(
            program, (example(graph),), dynamo=True, verbose=False, input_names=["images"],
            output_names=list(graph.outputs),
        )  # fmt: skip
    assert made is not None, "the exporter with dynamo=True gives the program"
    model: onnx.ModelProto = made.model_proto
    _rename(model.graph)
    for node in model.graph.node:  # where it came from in the source: kilobytes
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.value_info, *model.graph.initializer]:
        del value.metadata_props[:]
    return model


def _rename(graph: onnx.GraphProto) -> None:
    """Takes from every name the path to the detector, which says nothing and fills small files."""
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [name.removeprefix(_PATH) for name in names]
    for value in (*graph.initializer, *graph.value_info):
        value.name = value.name.removeprefix(_PATH)


def save_onnx(model: onnx.ModelProto, facts: Facts, path: Path) -> None:
    """Writes the model with its facts, atomically, in one file."""
    onnx.helper.set_model_props(model, {KEY: facts.as_text()})
    with replacing(path) as part:
        onnx.save_model(model, str(part), format="protobuf")


class OnnxSession:
    """An ONNX file, open in ONNX Runtime on the CPU, with as many threads as torch has."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own exceptions share no public base
            raise ValueError(f"{path}: ONNX Runtime cannot read it ({error})") from None
        self.facts = facts_from(self._session.get_modelmeta().custom_metadata_map.get(KEY), path)

    def __call__(self, images: Tensor) -> Sequence[Tensor]:
        """The outputs for images (B, 3, H, W)."""
        found = self._session.run(None, {"images": images.numpy()})
        return [torch.from_numpy(column) for column in found]
