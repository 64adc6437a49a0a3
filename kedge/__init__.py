"""Kedge: anchors in object detection. Propose, learn, assign, encode, detect, explain."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

# imported when first asked for: torch takes seconds, and `kedge --help` does not need it
_HOMES = {
    "kedge.anchors.free": ("Free",),
    "kedge.anchors.grid": ("Grid", "Level"),
    "kedge.types": ("Assignment", "Detections", "Predictions", "Targets"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'kedge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
