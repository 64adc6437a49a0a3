"""Engine: who started the processes of a run, where Lightning does not know it by itself."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Lightning's ``Strategy`` and ``ClusterEnvironment`` for processes that run already, each on a
    device of its own."""

    strategy: Any
    environment: Any
