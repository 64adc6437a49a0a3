"""Arrays of an .npz archive, their sizes looked at before anything is unpacked."""

import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from kedge.parse.text import read_bytes, refuse_bomb


def read_npz(file: Path, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """Those of the arrays `wanted` that the archive holds: numbers and text, never pickles.

    Raises `ValueError` naming the file, and the array where one is damaged or says of itself that
    it is larger than it is.
    """
    _must_be_regular(file)
    try:
        with zipfile.ZipFile(file) as archive:
            names = [n for n in archive.namelist() if n.removesuffix(".npy") in wanted]
            sizes = [_size(archive, name) for name in names]
        refuse_bomb(file, sum(sizes))
        with np.load(file, allow_pickle=False) as arrays:
            found = {name.removesuffix(".npy"): arrays[name] for name in names}
    except Exception as problem:  # zipfile, zlib and numpy share no base class
        said = str(problem).removeprefix(f"{file}: ")
        raise ValueError(f"{file}: cannot be read as .npz: {said}") from problem
    return found


def names_in_npz(file: Path) -> list[str]:
    """The names of the arrays of an archive, none of them unpacked. `ValueError` names the file."""
    _must_be_regular(file)
    try:
        with zipfile.ZipFile(file) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except Exception as problem:
        raise ValueError(f"{file}: cannot be read as .npz: {problem}") from problem


def _must_be_regular(file: Path) -> None:
    """Raise unless `file` is a regular file."""
    if not file.is_file():
        read_bytes(file)  # says what it is instead


def _size(archive: zipfile.ZipFile, name: str) -> int:
    """Bytes of an array once unpacked, as its own header says and its entry can hold."""
    with archive.open(name) as stream:
        shape, dtype = _header(stream)
    if dtype.kind not in "biufUS":
        raise ValueError(f"{name} holds {dtype}: only numbers and text are read")
    if any(side < 0 for side in shape):
        raise ValueError(f"{name} says it has the shape {shape}")
    size = math.prod(shape) * dtype.itemsize
    if size > archive.getinfo(name).file_size:
        raise ValueError(f"{name} says it has the shape {shape}, more than it holds")
    return size


def _header(stream: Any) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"version {version} of the array format is not known")
    shape, _, dtype = read(stream)
    return shape, dtype
