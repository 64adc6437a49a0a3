"""The doctor: what is wrong with a data set, with anchors for it, or with a run; and what to do."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kedge.doctor.checks import ANCHORS, DATA, RUN, examine
    from kedge.doctor.context import Context
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

# imported when first asked for: `kedge design` lives here and needs neither checks nor detectors
_HOMES = {
    "context": ("Context",),
    "checks": ("ANCHORS", "DATA", "RUN", "examine"),
    "finding": ("Finding",),
    "open": ("open_context",),
    "setup": ("Setup", "of_config", "of_detector"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"kedge.doctor.{home}"), name)
    raise AttributeError(f"module 'kedge.doctor' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
