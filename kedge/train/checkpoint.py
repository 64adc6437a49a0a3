"""Weights as safetensors, and checks that a file, its run and its detector belong together."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from kedge.counted import count
from kedge.files import replacing
from kedge.train.checksum import EMPTY, check_stamp, stamped

SHAPES_KEY = "shapes.log_shapes"


def save_weights(path: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write weights and `facts` (JSON) atomically, with a checksum of the whole file.

    The same input gives the same bytes. Any reader of safetensors reads the file; `facts` and the
    checksum ("sha256") are in its metadata, under "kedge".
    """
    tensors = {name: weights[name].detach().cpu().contiguous() for name in sorted(weights)}
    rest = {key: facts[key] for key in sorted(facts) if key != "sha256"}  # another file's, if any
    stated = {"sha256": EMPTY} | rest
    # one key only: safetensors does not keep the order of several
    data = stamped(save(tensors, metadata={"kedge": json.dumps(stated)}))
    with replacing(path) as part:
        part.write_bytes(data)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Weights of a file that ``save_weights`` wrote.

    ``ValueError`` names a file that is missing, unreadable, or not bit for bit what was written.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; is the run finished?") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        check_stamp(data)
        return load(data)
    except (ValueError, SafetensorError) as error:
        raise ValueError(
            f"{path}: truncated, damaged or not weights of Kedge's: {error}; "
            "restore the file, or train again"
        ) from None


def fit_weights(detector: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Load `weights` into `detector`, or say which tensors do not fit and what to do."""
    check_fit(detector.state_dict(), weights, path)
    detector.load_state_dict(weights)


def check_fit(wanted: dict[str, Tensor], weights: dict[str, Tensor], path: Path) -> None:
    """``ValueError`` unless `weights` have the names and shapes of `wanted`."""
    _check_anchor_count(wanted, weights, path)
    missing = sorted(wanted.keys() - weights.keys())
    extra = sorted(weights.keys() - wanted.keys())
    wrong = [
        f"{name} is {tuple(weights[name].shape)}, not {tuple(wanted[name].shape)}"
        for name in sorted(wanted.keys() & weights.keys())
        if wanted[name].shape != weights[name].shape
    ]
    problems = [f"lacks {_some(missing)}"] if missing else []
    problems += [f"has {_some(extra)} that the detector lacks"] if extra else []
    problems += [_some(wrong)] if wrong else []
    if problems:
        raise ValueError(
            f"{path}: not the weights of this detector: {'; '.join(problems)}. "
            "Were config.yaml or run.json edited?"
        )


def check_shapes(weights: dict[str, Tensor], expected: list[list[float]], path: Path) -> None:
    """``ValueError`` unless the shapes in `weights` are finite and are those in `expected`.

    `expected`: (w, h) in pixels as run.json states them, to a hundredth of a pixel; none for a
    detector without shapes.
    """
    stored = weights.get(SHAPES_KEY)
    if stored is None and not expected:
        return  # a detector without shapes
    if stored is None:
        raise ValueError(f"{path}: holds no anchor shapes ({SHAPES_KEY})")
    if not bool(torch.isfinite(stored).all()):
        raise ValueError(f"{path}: its anchor shapes are not finite")
    shapes = stored.double().exp().tolist()
    if len(shapes) != len(expected):
        raise ValueError(
            f"{path}: holds {count(len(shapes), 'anchor shape')}, run.json speaks of "
            f"{len(expected)}"
        )
    for i, (have, want) in enumerate(zip(shapes, expected)):
        if not all(math.isclose(a, b, rel_tol=1e-3, abs_tol=0.02) for a, b in zip(have, want)):
            raise ValueError(
                f"{path}: anchor shape {i} is {have[0]:.2f} x {have[1]:.2f}, run.json says "
                f"{want[0]:.2f} x {want[1]:.2f}; the two files are not of the same run"
            )


def _check_anchor_count(wanted: dict[str, Tensor], weights: dict[str, Tensor], path: Path) -> None:
    have, want = weights.get(SHAPES_KEY), wanted.get(SHAPES_KEY)
    if have is not None and want is not None and have.shape != want.shape:
        raise ValueError(
            f"{path}: holds {count(len(have), 'anchor shape')}, the detector has {len(want)}; "
            "the number of shapes cannot change between training and loading"
        )


def _some(names: list[str], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
