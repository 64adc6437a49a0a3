"""What and where anchors are, and which of them can matter to which object."""

from kedge.anchors.grid import Grid, Level, Place
from kedge.anchors.pairs import Pairs

__all__ = ["Grid", "Level", "Pairs", "Place"]
