"""Kedge: anchors in object detection. Propose, learn, assign, encode, detect, explain."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# imported when first asked for: torch takes seconds, and `kedge --help` does not need it
_HOMES = {
    "kedge.anchors": ("Boxes", "Free", "Grid", "LearnedShapes", "Level"),
    "kedge.train": ("load",),
    "kedge.types": ("Assignment", "Detections", "Predictions", "Targets"),
}

__all__ = [
    "Assignment",
    "Boxes",
    "Detections",
    "Free",
    "Grid",
    "LearnedShapes",
    "Level",
    "Predictions",
    "Targets",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'kedge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
