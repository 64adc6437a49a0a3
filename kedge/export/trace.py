"""From a module to a graph whose batch may have any number of images."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.export import Dim, ExportedProgram

from kedge.export.forms import Graph


@contextmanager
def quietly() -> Iterator[None]:
    """Without the converters' remarks about themselves."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def example(graph: Graph, batch: int = 2) -> torch.Tensor:
    """Images (B, 3, H, W) of noise, always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 3, *graph.static.size, generator=generator)


def traced(graph: Graph) -> ExportedProgram:
    """The program of a graph; it holds no images."""
    with quietly(), torch.no_grad():
        program = torch.export.export(graph, (example(graph),), dynamic_shapes=({0: Dim("batch")},))
    program.example_inputs = None  # they would be pickled
    return program
