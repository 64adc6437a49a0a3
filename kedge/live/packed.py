"""Columns of numbers as text that JSON can hold and a page can read at once."""

import base64
from typing import Any, TypedDict

import numpy as np
from torch import Tensor


class Packed(TypedDict):
    """``data``: base64 of little-endian numbers: "f4" float32, "i4" int32; rows after rows."""

    type: str
    data: str


def packed(values: Any) -> Packed:
    """A tensor or array of any shape, as float32 or int32."""
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    kind = "<f4" if array.dtype.kind == "f" else "<i4"
    raw = np.ascontiguousarray(array, dtype=kind).tobytes()
    return {"type": kind[1:], "data": base64.b64encode(raw).decode()}


def unpacked(value: Packed) -> np.ndarray:
    """The numbers again, flat."""
    return np.frombuffer(base64.b64decode(value["data"]), dtype="<" + value["type"])
