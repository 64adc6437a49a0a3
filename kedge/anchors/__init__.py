"""What and where anchors are, and which of them can matter to which object."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kedge.anchors.boxes import Boxes, Free
    from kedge.anchors.grid import Grid
    from kedge.anchors.layout import Place
    from kedge.anchors.learned import LearnedShapes
    from kedge.anchors.level import Level
    from kedge.anchors.nwd import ByNWD
    from kedge.anchors.pairs import Pairs
    from kedge.anchors.presets import Preset, preset, preset_names

__all__ = [
    "Boxes",
    "ByNWD",
    "Free",
    "Grid",
    "LearnedShapes",
    "Level",
    "Pairs",
    "Place",
    "Preset",
    "preset",
    "preset_names",
]

# imported when first asked for: every command names the presets, and few of them need torch
_HOMES = {
    "boxes": ("Boxes", "Free"),
    "grid": ("Grid",),
    "layout": ("Place",),
    "learned": ("LearnedShapes",),
    "level": ("Level",),
    "nwd": ("ByNWD",),
    "pairs": ("Pairs",),
    "presets": ("Preset", "preset", "preset_names"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"kedge.anchors.{home}"), name)
    raise AttributeError(f"module 'kedge.anchors' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
