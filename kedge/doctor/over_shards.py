"""The doctor over shards: each is looked at alone, and what is found is put together."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kedge.data import said
from kedge.doctor.checks import examine
from kedge.doctor.finding import SEVERITIES, Finding, Severity
from kedge.doctor.open import open_context

_WORST = 5
COUNTED = {  # evidence that says how much a check found, which adds up: one of it, and several
    "boxes": ("box", "boxes"),
    "objects_without": ("object without a positive", "objects without a positive"),
    "without_objects": ("image without objects", "images without objects"),
    "objects_beyond": ("object too many", "objects too many"),
    "count": ("record", "records"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One shard: its findings, how much there is, and what the reader had to say."""

    findings: tuple[Finding, ...]
    images: int
    objects: int
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What a check found in several shards: the worst severity, in which ``shards``, what was
    counted, added up, and the ``worst_images`` of all of them (with their shard and number).
    Symptom, cause and cure are those of the one ``shard`` that has the worst severity and, of
    these, most to count, or the largest share."""

    check: str
    severity: Severity
    shards: tuple[str, ...]
    counts: dict[str, int]
    worst_images: tuple[dict[str, Any], ...]
    shard: str
    symptom: str
    cause: str
    cure: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as ``--json`` writes them."""
        return asdict(self)


def look(
    shard: str,
    *,
    split: str | None = None,
    detector: str | None = None,
    anchors: str | None = None,
    image_size: tuple[int, int] | None = None,
    seed: int = 0,
) -> Looked:
    """What the doctor finds in one shard: see ``open_context``. A pure function of the shard."""
    context = open_context(
        shard, split=split, detector=detector, anchors=anchors, image_size=image_size, seed=seed
    )
    return Looked(
        findings=tuple(examine(context)),
        images=len(context.data),
        objects=len(context.objects.fair),
        said=tuple(said(context.data)),
    )


def merged(looked: Mapping[str, Looked]) -> list[Merged]:
    """What was found in all shards, errors first, then what most shards have. The order of
    ``looked`` is of no consequence.

    Of a shard alone nothing can be known about others: images that two shards share, or a class
    that one lacks, are not seen.
    """
    found: dict[str, list[tuple[str, Finding]]] = defaultdict(list)
    for shard in sorted(looked):
        for finding in looked[shard].findings:
            found[finding.check].append((shard, finding))
    together = [_merged(check, each) for check, each in found.items()]
    return sorted(together, key=lambda m: (SEVERITIES.index(m.severity), -len(m.shards), m.check))


def _merged(check: str, each: Sequence[tuple[str, Finding]]) -> Merged:
    counts: dict[str, int] = {}
    images: list[dict[str, Any]] = []
    for shard, finding in each:
        for key in COUNTED:
            if isinstance(value := finding.evidence.get(key), int):
                counts[key] = counts.get(key, 0) + value
        images += [{"shard": shard, **row} for row in finding.evidence.get("worst_images", ())]
    shard, worst = min(each, key=lambda one: (SEVERITIES.index(one[1].severity), -_size(one[1])))
    return Merged(
        check=check,
        severity=worst.severity,
        shards=tuple(dict.fromkeys(shard for shard, _ in each)),
        counts=counts,
        worst_images=tuple(sorted(images, key=_badness)[:_WORST]),
        shard=shard,
        symptom=worst.symptom,
        cause=worst.cause,
        cure=worst.cure,
    )


def _size(finding: Finding) -> float:
    """How much a finding is about: what is counted, else its share."""
    numbers = (finding.evidence.get(key) for key in (*COUNTED, "share"))
    return next((n for n in numbers if isinstance(n, (int, float))), 0)


def _badness(row: dict[str, Any]) -> tuple[float, str, str]:
    numbers = (value for key, value in row.items() if key not in ("shard", "image"))
    worst = next((value for value in numbers if isinstance(value, (int, float))), 0)
    return -float(worst), str(row["shard"]), str(row.get("image"))
