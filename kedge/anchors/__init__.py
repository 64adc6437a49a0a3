"""What and where anchors are, and which of them can matter to which object."""

from kedge.anchors.free import Free
from kedge.anchors.grid import Grid, Level, Place
from kedge.anchors.kmeans import kmeans
from kedge.anchors.learned import LearnedShapes
from kedge.anchors.nwd import ByNWD
from kedge.anchors.pairs import Pairs
from kedge.anchors.presets import Preset, preset, preset_names
from kedge.anchors.sketch import Sketch

__all__ = [
    "ByNWD",
    "Free",
    "Grid",
    "LearnedShapes",
    "Level",
    "Pairs",
    "Place",
    "Preset",
    "Sketch",
    "kmeans",
    "preset",
    "preset_names",
]
