"""The doctor: what is wrong with a data set, with anchors for it, or with a run; and what to do."""

from kedge.doctor.context import Context
from kedge.doctor.examine import ANCHORS, DATA, RUN, examine
from kedge.doctor.finding import Finding
from kedge.doctor.open import open_context
from kedge.doctor.setup import Setup, of_config, of_detector

__all__ = [
    "ANCHORS",
    "DATA",
    "RUN",
    "Context",
    "Finding",
    "Setup",
    "examine",
    "of_config",
    "of_detector",
    "open_context",
]
