"""A design in a file: what other commands need to use it as their anchors."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedge.anchors.presets import Preset, PresetLevel
from kedge.shape_text import is_design_file

_LARGEST = 10_000_000  # bytes; a design is a few thousand
_LONGEST, _HUGE = 1_000_000, 1e9  # pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedDesign(Preset):
    """The anchors of ``kedge design --json FILE``: a preset of the user's own.

    ``resize``: how images come to ``image_size`` (H, W): letterbox, stretch or short-side.
    """

    resize: str = "letterbox"


def not_as_designed(
    anchors: str | None,
    image_size: tuple[int, int],
    strides: Sequence[float] | None = None,
    offset: float | None = None,
) -> list[str]:
    """What is not as in the file of a design, where ``anchors`` names one, images are letterboxed
    into ``image_size`` (H, W), and its shapes are put on ``strides``, at ``offset`` of their cells
    (None: on its own): a sentence each."""
    if anchors is None or not is_design_file(anchors):
        return []
    made = load_design(anchors)
    (height, width), here = made.image_size, f"{image_size[0]} x {image_size[1]}"
    said = []
    if made.resize != "letterbox" or (height, width) != tuple(image_size):
        said.append(f"images of {height} x {width} ({made.resize}); here: {here} (letterbox)")
    if strides is not None and made.strides != tuple(strides):
        both = (" ".join(f"{s:g}" for s in each) for each in (made.strides, strides))
        said.append("strides {}; here: {}".format(*both))
    if offset is not None and made.offset != offset:
        said.append(f"anchors at {made.offset:g} of their cell; here: {offset:g}")
    return [f"{anchors} was designed for {one}" for one in said]


def load_design(path: str | Path) -> SavedDesign:
    """Read what ``kedge design --json FILE`` wrote: levels in order of stride, offset, input size.

    Errors: ``ValueError`` naming the file, and the entry that is missing or wrong.
    """
    data = _read(Path(path))
    levels = _entry(data, "levels", path)
    if not isinstance(levels, list) or not levels:
        raise ValueError(f"{path}: levels: expected a list of strides and shapes")
    found = [_level(level, f"{path}: levels[{i}]") for i, level in enumerate(levels)]
    offset = _number(_entry(data, "offset", path), f"{path}: offset")
    if not 0 <= offset <= 1:
        raise ValueError(f"{path}: offset: expected 0 (corner of the cell) to 1, got {offset}")
    resize = data.get("resize", "letterbox")
    if resize not in ("letterbox", "stretch", "short-side"):
        raise ValueError(f"{path}: resize: expected letterbox, stretch or short-side")
    return SavedDesign(
        name=str(path),
        source="kedge design",
        levels=tuple(sorted(found, key=lambda level: level.stride)),
        image_size=_pair(_entry(data, "image_size", path), f"{path}: image_size"),
        offset=offset,
        resize=resize,
    )


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; kedge design DIR --json {path} writes one")
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path}: is no design: larger than {_LARGEST:,} bytes")
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as problem:
        raise ValueError(f"{path}: cannot be read as JSON: {problem}") from None
    if not isinstance(data, dict):
        raise ValueError(
            f"{path}: is no design: expected an object with levels, offset, image_size"
        )
    return data


def _entry(data: dict[str, Any], key: str, path: str | Path) -> Any:
    if key not in data:
        raise ValueError(f"{path}: is no design: lacks {key!r}; kedge design --json writes it")
    return data[key]


def _level(level: Any, where: str) -> PresetLevel:
    if not isinstance(level, dict) or "stride" not in level or "shapes" not in level:
        raise ValueError(f"{where}: expected a stride and shapes")
    stride = _number(level["stride"], f"{where}: stride")
    shapes = level["shapes"]
    if not stride > 0:
        raise ValueError(f"{where}: stride: expected a positive number, got {stride}")
    if not isinstance(shapes, list) or not shapes:
        raise ValueError(f"{where}: shapes: expected a list of [w, h]")
    return PresetLevel(stride, tuple(_shape(shape, where) for shape in shapes))


def _shape(shape: Any, where: str) -> tuple[float, float]:
    if not isinstance(shape, list) or len(shape) != 2:
        raise ValueError(f"{where}: shapes: expected [w, h], got {shape!r:.40}")
    w, h = (_number(side, f"{where}: shapes") for side in shape)
    if not (w > 0 and h > 0):
        raise ValueError(f"{where}: shapes: sides must be positive, got {shape}")
    return w, h


def _pair(value: Any, where: str) -> tuple[int, int]:
    good = isinstance(value, list) and len(value) == 2 and all(type(side) is int for side in value)
    if not good or not 1 <= min(value) <= max(value) <= _LONGEST:
        raise ValueError(f"{where}: expected [height, width] in pixels, got {value!r:.40}")
    return value[0], value[1]


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _HUGE:
        raise ValueError(f"{where}: expected a number, got {value!r:.40}")
    return float(value)
