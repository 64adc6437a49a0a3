"""Queries belong to no graph of autograd."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch

Call = TypeVar("Call", bound=Callable[..., Any])


def detached(call: Call) -> Call:
    """``call`` under ``torch.no_grad``, which is not entered again where it holds already.

    A strategy enters it once for all of its queries; with few objects ten entries more take as long
    as the queries do.
    """
    alone = torch.no_grad()(call)

    @wraps(call)
    def run(*args: Any, **kwargs: Any) -> Any:
        return (alone if torch.is_grad_enabled() else call)(*args, **kwargs)

    return cast("Call", run)
