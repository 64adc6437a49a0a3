"""Kedge: anchors in object detection. Propose, learn, assign, encode, detect, explain."""

from kedge.anchors.free import Free
from kedge.anchors.grid import Grid, Level
from kedge.types import Assignment, Detections, Predictions, Targets

__version__ = "0.1.0"

__all__ = [
    "Assignment",
    "Detections",
    "Free",
    "Grid",
    "Level",
    "Predictions",
    "Targets",
    "__version__",
]
