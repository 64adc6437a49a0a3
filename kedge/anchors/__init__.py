"""What and where anchors are, and which of them can matter to which object."""

from kedge.anchors.free import Free
from kedge.anchors.grid import Grid, Level, Place
from kedge.anchors.pairs import Pairs

__all__ = ["Free", "Grid", "Level", "Pairs", "Place"]
