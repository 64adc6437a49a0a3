"""The contracts that every room speaks: Targets, Anchors, Predictions, Assignment, Detections.

All are packed: one row per object, anchor, pair or detection of the whole batch, with no padding.
They are validated where they are built, and the error names the image and the row.
"""

from kedge.types.anchors import Anchors
from kedge.types.assignment import (
    BACKGROUND,
    IGNORED,
    Assigner,
    Assignment,
    ClassWeights,
    Likelihood,
    Scheduled,
)
from kedge.types.coder import Coder
from kedge.types.detections import Detections
from kedge.types.predictions import Predictions
from kedge.types.targets import Targets

__all__ = [
    "BACKGROUND",
    "IGNORED",
    "Anchors",
    "Assigner",
    "Assignment",
    "ClassWeights",
    "Coder",
    "Detections",
    "Likelihood",
    "Predictions",
    "Scheduled",
    "Targets",
]
