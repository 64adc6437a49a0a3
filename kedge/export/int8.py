"""Static quantisation of an ONNX model: the network in int8, what decodes and selects in float."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from kedge.export.trace import quietly


class _Images(CalibrationDataReader):
    """Images (1, 3, H, W), one after the other."""

    def __init__(self, images: Iterable[NDArray[np.float32]]) -> None:
        self._left: Iterator[NDArray[np.float32]] = iter(images)

    def get_next(self) -> Any:
        image = next(self._left, None)
        return None if image is None else {"images": image}


def quantised(model: onnx.ModelProto, images: Iterable[NDArray[np.float32]]) -> onnx.ModelProto:
    """The model with weights and activations of its convolutions in int8, per channel.

    ``images`` (1, 3, H, W) calibrate it: the range of every activation is what they make of it.
    Nodes behind the last convolutions stay in float: codes, boxes and scores need the digits.
    Weights take 7 of the 8 bits: on processors without VNNI sums of two products in 16 bits would
    overflow, which cost a tiny SSD on bccd 6.5 points of AP, and so costs it none.
    """
    with tempfile.TemporaryDirectory() as name, quietly():
        source, ready, made = (Path(name) / f"{step}.onnx" for step in ("float", "ready", "int8"))
        onnx.save_model(model, str(source))  # from memory it would move the weights elsewhere
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready), str(made), _Images(images), per_channel=True, reduce_range=True,
            nodes_to_exclude=behind_convolutions(onnx.load(str(ready))),
        )  # fmt: skip
        small = onnx.load(str(made))
        del small.graph.value_info[:]  # shapes of what is inside
        return small


def behind_convolutions(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that no convolution depends on."""
    maker = {name: node for node in model.graph.node for name in node.output}
    waiting = [node for node in model.graph.node if node.op_type == "Conv"]
    before: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.name not in before:
            before.add(node.name)
            waiting += [maker[name] for name in node.input if name in maker]
    return [node.name for node in model.graph.node if node.name not in before]
