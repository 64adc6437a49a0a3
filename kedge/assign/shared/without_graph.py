"""An assignment belongs to no graph: neither autograd's nor one of ``torch.compile``."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch

from kedge.anchors.detached import detached

Call = TypeVar("Call", bound=Callable[..., Any])


def without_graph(call: Call) -> Call:
    """``call`` without gradients; in a compiled step it runs as it stands, at one graph break.

    Its results have as many rows as the data want, which a graph would have to guess: traced, a
    rule falls into dozens of small graphs that are made anew for other numbers of objects.
    """
    alone = detached(call)
    stopped: list[Any] = []  # once it is needed

    @wraps(call)
    def run(*args: Any, **kwargs: Any) -> Any:
        if "torch._dynamo" not in sys.modules:  # it takes seconds, and nothing compiles without it
            return alone(*args, **kwargs)
        if not stopped:
            stopped.append(torch.compiler.disable(alone))
        return stopped[0](*args, **kwargs)

    return cast("Call", run)
