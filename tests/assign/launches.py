"""What a call asks of a device: kernels launched, and waits of the host for a number.

Counted by a dispatch mode from the operations of PyTorch, so that the same on any machine: views
launch nothing, some operations are several kernels on a GPU, and some make the host wait.
"""

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kedge import rows
from kedge.anchors import segments
from kedge.anchors.queries import join, table
from kedge.assign import hungarian
from kedge.assign.shared import affordable

# operations that only look at memory in another way, make it without filling it, or ask for a type
_VIEWS = {
    *("alias", "as_strided", "detach", "diagonal", "empty", "empty_like", "empty_strided"),
    *("expand", "lift_fresh", "narrow", "new_empty", "permute", "select", "slice", "split"),
    *("split_with_sizes", "squeeze", "t", "transpose", "unbind", "unfold", "unsqueeze", "view"),
    *("_reshape_alias", "_unsafe_view", "promote_types"),
}
# kernels of operations that are more than one on a GPU, as its profiler shows them
_KERNELS = {
    "argsort": 6, "bincount": 4, "cummax": 3, "cumsum": 2, "index": 1, "index_put": 3,
    "index_put_": 3, "isfinite": 4, "logsumexp": 4, "masked_select": 4, "nonzero": 3,
    "repeat_interleave": 3, "scatter_reduce": 2, "scatter_reduce_": 2, "sort": 6, "topk": 4,
    "unique_consecutive": 6, "_unique2": 10,
}  # fmt: skip
# operations whose result has a size, or is a number, that the host must know
_WAITS = {
    *("bincount", "equal", "is_nonzero", "masked_select", "nonzero", "unique_consecutive"),
    *("_local_scalar_dense", "_unique", "_unique2"),
}


OF_A_PROCESSOR = (
    *((rows, name) for name in ("BY_NUMPY", "BY_PLACE", "AS_ONE")),
    *((segments, name) for name in ("IN_ORDER", "SAMPLED", "SMALL")),
    (table, "PART"),
    (table, "LISTED"),
    (hungarian, "BLOCK"),
    (join, "BLOCK"),
    (affordable, "MANY"),
)
"""What only a processor does from so many rows on: masks by numpy, values by their place, rows as
numbers, searches in order, a sample before a sort, ids that are sorted, a table in pieces, ties in
a list, costs and joins in blocks, prices of what can matter alone."""


class Launches(TorchDispatchMode):
    """``with Launches() as seen:`` counts ``seen.launches`` and ``seen.waits``; ``seen.names``
    says of which operations, ``seen.waiting`` of which waits."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()

    @property
    def launches(self) -> int:
        """Kernels."""
        return sum(self.names.values())

    @property
    def waits(self) -> int:
        """Times that the host waits."""
        return sum(self.waiting.values())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.split("::")[1]
        if name in _WAITS or (name == "repeat_interleave" and kwargs.get("output_size") is None):
            self.waiting[name] += 1
        elif name in ("index", "index_put", "index_put_"):
            masks = sum(i is not None and i.dtype == torch.bool for i in args[1])
            self.waiting["mask as index"] += masks
            self.names["nonzero of a mask"] += 3 * masks
        if name not in _VIEWS and name not in ("_local_scalar_dense",):
            self.names[name] += _KERNELS.get(name, 1)
        return func(*args, **kwargs)
