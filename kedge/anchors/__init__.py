"""What and where anchors are, and which of them can matter to which object."""

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
