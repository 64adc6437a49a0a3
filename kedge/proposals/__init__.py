"""Where objects may be, found without learning: sources of proposals for Fast R-CNN and R-CNN."""

from kedge.proposals.opencv import EdgeBoxes, SelectiveSearch
from kedge.proposals.source import Source
from kedge.proposals.windows import SlidingWindow

__all__ = ["EdgeBoxes", "SelectiveSearch", "SlidingWindow", "Source"]
