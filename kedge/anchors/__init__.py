"""What and where anchors are, and which of them can matter to which object."""

from kedge.anchors.free import Free
from kedge.anchors.grid import Grid, Level, Place
from kedge.anchors.nwd import ByNWD
from kedge.anchors.pairs import Pairs

__all__ = ["ByNWD", "Free", "Grid", "Level", "Pairs", "Place"]
