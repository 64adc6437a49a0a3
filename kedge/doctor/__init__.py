"""The doctor: what is wrong with a data set, with anchors for it, or with a run; and what to do."""

from typing import TYPE_CHECKING

from kedge.lazy import lazily

if TYPE_CHECKING:
    from kedge.doctor.checks import ANCHORS, DATA, RUN, examine
    from kedge.doctor.context import Context
    from kedge.doctor.finding import Finding
    from kedge.doctor.open import open_context
    from kedge.doctor.setup import Setup
    from kedge.doctor.setups import of_config, of_detector

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
    "ANCHORS": "checks",
    "Context": "context",
    "DATA": "checks",
    "Finding": "finding",
    "RUN": "checks",
    "Setup": "setup",
    "examine": "checks",
    "of_config": "setups",
    "of_detector": "setups",
    "open_context": "open",
}


__getattr__ = lazily(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
