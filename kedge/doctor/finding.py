"""Finding: what is wrong, the evidence, the likely cause, the cure and its predicted effect."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from kedge.counted import count as count

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result of one check.

    ``check`` names it, for machines. ``evidence`` holds plain numbers, lists and dictionaries;
    ``worst_images`` in it lists images, the worst first. ``cure`` is a command, a snippet or a
    sentence. ``predicted`` is the effect of the cure, computed, with a sentence under "text"; None
    where none can be computed, and ``unpredicted`` then says why.
    """

    check: str
    severity: Severity
    symptom: str
    evidence: dict[str, Any] = field(default_factory=dict)
    cause: str = ""
    cure: str = ""
    predicted: dict[str, Any] | None = None
    unpredicted: str = ""

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity is one of {', '.join(SEVERITIES)}, got {self.severity!r}")

    @property
    def effect(self) -> str:
        """What the cure is predicted to do, in words."""
        if self.predicted is None:
            return f"not computed: {self.unpredicted}" if self.unpredicted else ""
        return str(self.predicted.get("text", ""))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as ``--json`` writes them."""
        return asdict(self)


def by_severity(findings: list[Finding]) -> list[Finding]:
    """Errors first; within a severity the order stays."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def percent(share: float) -> str:
    """A share for people: ``12 %``, ``3.4 %``, ``0.02 %``."""
    value = 100 * share
    if 99.5 <= value < 100:
        return f"{value:.2f} %" if value < 99.995 else "over 99.99 %"
    if value == 0 or value >= 9.95:
        return f"{value:.0f} %"
    return f"{value:.1f} %" if value >= 0.95 else f"{value:.2g} %"
