"""What and where anchors are, and which of them can matter to which object."""

from typing import TYPE_CHECKING

from kedge.lazy import lazily

if TYPE_CHECKING:
    from kedge.anchors.boxes import Boxes, Free
    from kedge.anchors.gcd import ByGCD
    from kedge.anchors.grid import Grid
    from kedge.anchors.layout import Place
    from kedge.anchors.learned import LearnedShapes
    from kedge.anchors.level import Level
    from kedge.anchors.nwd import ByNWD
    from kedge.anchors.pairs import Pairs
    from kedge.anchors.presets import Preset, preset, preset_names
    from kedge.anchors.simd import BySimD

__all__ = [
    "Boxes",
    "ByGCD",
    "ByNWD",
    "BySimD",
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
    "Boxes": "boxes",
    "ByGCD": "gcd",
    "ByNWD": "nwd",
    "BySimD": "simd",
    "Free": "boxes",
    "Grid": "grid",
    "LearnedShapes": "learned",
    "Level": "level",
    "Pairs": "pairs",
    "Place": "layout",
    "Preset": "presets",
    "preset": "presets",
    "preset_names": "presets",
}


__getattr__ = lazily(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
