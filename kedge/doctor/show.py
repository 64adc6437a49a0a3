"""Findings in a terminal, as JSON, and as a page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kedge.doctor.context import Context
from kedge.doctor.finding import SEVERITIES, Finding, count
from kedge.doctor.plan import advice, plan

COLOUR = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_NUMBERS = 6


def summary(findings: Sequence[Finding]) -> str:
    """``2 errors, 1 warning, 5 notes``."""
    number = Counter(finding.severity for finding in findings)
    return ", ".join(count(number[name], name) for name in SEVERITIES)


def about(context: Context) -> dict[str, str]:
    """What was looked at, term by term."""
    data = context.data
    split = f", {data.split}" if data.split else ""
    objects = len(context.objects.fair)
    height, width = context.image_size
    facts = {
        "data": f"{context.source}{split}: {count(len(data), 'image')}, "
        f"{count(objects, 'object')}, {count(len(data.classes), 'class', 'classes')}",
        "input": f"{height} x {width}, letterboxed",
    }
    if context.setup is not None:
        facts["anchors"] = f"{context.setup.title}; {context.setup.rule}"
        if context.setup.points:
            facts["left out"] = "checks of shapes: the anchors are points"
        if context.sampled:
            facts["sample"] = (
                f"anchors looked at on {len(context.chosen):,} of {len(data):,} images"
            )
    if context.run is not None:
        facts["run"] = str(context.run.folder)
    return facts


def print_findings(
    console: Console, context: Context, findings: Sequence[Finding], verbose: bool = False
) -> None:
    """A table of all findings, then the errors and warnings (``verbose``: notes too) in full."""
    for term, text in about(context).items():
        console.print(Text(f"{term:8s} {text}"), highlight=False)
    table = Table(title_justify="left", title=summary(findings))
    table.add_column("severity")
    table.add_column("check", no_wrap=True)
    table.add_column("what is seen")
    for finding in findings:
        colour = COLOUR[finding.severity]
        table.add_row(
            Text(finding.severity, style=colour), Text(finding.check), Text(finding.symptom)
        )
    console.print(table)
    for finding in findings:
        if verbose or finding.severity != "note":
            console.print(_in_full(finding))
    steps = plan(findings)
    if len(steps) > 1:
        console.print(Text("What to do, in this order", style="bold"))
        for number, (what, cure) in enumerate(steps, 1):
            console.print(Text(f"{number}. {what}"), highlight=False)
            console.print(Padding(Text(cure), (0, 0, 0, 3)), highlight=False)
    if said := advice(steps):
        console.print(Text(said), highlight=False)
    if context.setup is None:
        hint = "Anchors were not looked at: add --detector retinanet or yolov2, --config FILE, or "
        console.print(Text(f"{hint}--run FOLDER."), highlight=False)


def _in_full(finding: Finding) -> Group:
    head = Text.assemble(
        (finding.severity, COLOUR[finding.severity]), "  ", (finding.check, "bold")
    )
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for term, text in facts(finding).items():
        grid.add_row(term, Text(text))
    return Group(head, Padding(grid, (0, 0, 1, 2)))


def facts(finding: Finding) -> dict[str, str]:
    """Symptom, evidence, worst images, cause, cure and effect, in words."""
    rows = {"seen": finding.symptom}
    numbers = evidence_line(finding.evidence)
    if numbers:
        rows["evidence"] = numbers
    worst = finding.evidence.get("worst_images") or []
    if worst:
        rows["images"] = ", ".join(_worst(row) for row in worst)
    rows["cause"] = finding.cause
    rows["cure"] = finding.cure
    if finding.severity != "note" or finding.predicted is not None:
        rows["effect"] = finding.effect
    return {term: text for term, text in rows.items() if text}


def _worst(row: Mapping[str, Any]) -> str:
    number = [value for key, value in row.items() if key != "image"]
    return f"{row['image']} ({number[0]})" if number else str(row["image"])


def evidence_line(evidence: Mapping[str, Any], most: int = _NUMBERS) -> str:
    """The plain numbers of the evidence, and short lists by name."""
    parts: list[str] = []
    for key, value in evidence.items():
        name = key.replace("_", " ")
        if isinstance(value, Mapping) and not value:
            continue
        if isinstance(value, Mapping) and all(isinstance(v, (int, float)) for v in value.values()):
            pairs = [(str(k).replace("_", " "), v) for k, v in value.items()]
            inner = ", ".join(f"{k} {_number(v)}" for k, v in pairs[:5])
            parts.append(f"{name}: {inner}{' ...' if len(value) > 5 else ''}")
        elif isinstance(value, (int, float, str)) and not isinstance(value, bool):
            parts.append(f"{name} {_number(value)}")
        if len(parts) == most:
            break
    return "; ".join(parts)


def _number(value: Any) -> str:
    if isinstance(value, float):
        if 0 < abs(value) < 0.001:
            return f"{value:.2g}" if abs(value) < 1e-6 else f"{value:.6f}".rstrip("0")
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def to_json(findings: Sequence[Finding], path: Path) -> None:
    """Write the findings as a JSON list, one object each."""
    from kedge.files import write_json

    write_json(path, [finding.to_dict() for finding in findings])
