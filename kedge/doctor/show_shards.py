"""What was found in shards, in a terminal and as JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kedge.counted import count
from kedge.doctor.finding import SEVERITIES
from kedge.doctor.over_shards import COUNTED, Looked, Merged
from kedge.doctor.show import COLOUR
from kedge.files import write_json


def print_shards(
    console: Console,
    looked: Mapping[str, Looked],
    failed: Mapping[str, str],
    found: Sequence[Merged],
    verbose: bool = False,
) -> None:
    """A table of all findings, then the errors and warnings (``verbose``: notes too) in full, then
    how the shards fared."""
    images = sum(shard.images for shard in looked.values())
    objects = sum(shard.objects for shard in looked.values())
    shards = count(len(looked), "shard")
    shards += f" of {len(looked) + len(failed):,}, {len(failed):,} failed" if failed else ""
    _say(console, f"data     {shards}: {count(images, 'image')}, {count(objects, 'object')}")
    _say(console, "         each looked at alone: what two shards share, none of them can show")
    number = Counter(finding.severity for finding in found)
    title = ", ".join(count(number[name], name) for name in SEVERITIES)
    table = Table(title=title, title_justify="left")
    table.add_column("severity")
    table.add_column("check", no_wrap=True)
    table.add_column("shards", justify="right", no_wrap=True)
    table.add_column("in all, or in one of them")
    for finding in found:
        table.add_row(
            Text(finding.severity, style=COLOUR[finding.severity]),
            Text(finding.check),
            f"{len(finding.shards):,}",
            Text(_seen(finding)),
        )
    console.print(table)
    for finding in found:
        if verbose or finding.severity != "note":
            _in_full(console, finding)
    for shard, of_one in looked.items():
        errors = Counter(finding.severity for finding in of_one.findings)
        _say(console, f"{shard}: " + ", ".join(count(errors[name], name) for name in SEVERITIES))


def _seen(finding: Merged) -> str:
    """What was counted in several shards, else what is seen in one, which is named."""
    if len(finding.shards) == 1:
        return finding.symptom
    return _counted(finding) or f"{finding.shard}: {finding.symptom}"


def _counted(finding: Merged) -> str:
    """``12 boxes``, as far as the evidence adds up."""
    return ", ".join(count(number, *COUNTED[key]) for key, number in finding.counts.items())


def _in_full(console: Console, finding: Merged) -> None:
    _say(console, f"\n{finding.check}", style=COLOUR[finding.severity])
    some = ", ".join(finding.shards[:3])
    more = f" and {len(finding.shards) - 3:,} more" if len(finding.shards) > 3 else ""
    worst = "; ".join(
        f"{row['shard']}: {row.get('image')}"
        + "".join(f" ({value})" for key, value in row.items() if key not in ("shard", "image"))
        for row in finding.worst_images
    )
    rows = {
        "shards": f"{some}{more}",
        "counted": _counted(finding),
        "seen": f"{finding.shard}: {finding.symptom}",
        "images": worst,
        "cause": finding.cause,
        "cure": finding.cure,
    }
    for term, text in rows.items():
        if text:
            _say(console, f"  {term:7s} {text}")


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(line, style=style), highlight=False, soft_wrap=True)


def shards_to_json(
    looked: Mapping[str, Looked], failed: Mapping[str, str], found: Sequence[Merged], path: Path
) -> None:
    """Write all findings: ``together``, then of every shard its own, and the shards that failed."""
    shards = {
        name: {
            "images": shard.images,
            "objects": shard.objects,
            "findings": [finding.to_dict() for finding in shard.findings],
        }
        for name, shard in looked.items()
    }
    together = [finding.to_dict() for finding in found]
    write_json(path, {"together": together, "shards": shards, "failed": dict(failed)})
