"""The doctor's findings, and the anchors' meeting with the objects, as a page."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from kedge.doctor.context import Context
from kedge.doctor.finding import SEVERITIES, Finding
from kedge.doctor.plan import advice, plan
from kedge.doctor.show import about, facts, summary
from kedge.pages.doctor_figures import (
    coverage_section,
    headline,
    positives_section,
    size_section,
)
from kedge.pages.doctor_pictures import image_section, worst_images
from kedge.pages.run_figures import maps_section, path_section
from kedge.report import Block, Numbers, Section, Table, Text, write_report
from kedge.report import Finding as Card


def write_page(path: Path, context: Context, findings: Sequence[Finding]) -> Path:
    """Write what to do, what there is to see, and the findings in full."""
    number = Counter(finding.severity for finding in findings)
    first: list[Block] = [
        Numbers(items=[(str(number[name]), f"{name}s", "") for name in SEVERITIES])
    ]
    steps = plan(findings)
    if len(steps) > 1:
        rows = [[i, what, cure] for i, (what, cure) in enumerate(steps, 1)]
        first += [Table(columns=["", "about", "cure"], rows=rows, caption=advice(steps))]
    sections = [
        Section(title="What to do" if len(steps) > 1 else "Summary", blocks=first),
        *anchor_sections(context),
        Section(title="Findings", blocks=[_card(context, finding) for finding in findings]),
    ]
    sections = [section for section in sections if section.blocks]
    return write_report(
        path,
        f"Doctor: {context.source}",
        sections,
        subtitle=summary(findings),
        facts=about(context),
    )


def write_overview(path: Path, context: Context) -> Path:
    """Write how the anchors meet the objects, without judgement."""
    sections = anchor_sections(context)
    of_run = (path_section(context), maps_section(context))
    sections += [section for section in of_run if section is not None]
    if len(context.fair) == 0:
        sections = [Section(title="Objects", blocks=[Text(text="The data hold no object.")])]
    return write_report(
        path, f"Anchors and objects: {context.source}", sections, facts=about(context)
    )


def anchor_sections(context: Context) -> list[Section]:
    """Everything that can be drawn."""
    if len(context.fair) == 0:
        return []
    sizes = size_section(context)
    if context.setup is None:
        return [sizes, _classes(context)]
    first = Section(title="At a glance", blocks=[headline(context)])
    coverage = [] if context.setup.points else [coverage_section(context)]
    sections = [first, sizes, *coverage, positives_section(context)]
    images = image_section(context)
    return [*sections, *([images] if images is not None else [])]


def _classes(context: Context) -> Section:
    from kedge.doctor.data_checks.sizes import by_class

    rows = [
        [name, row["objects"], row["median_side"], row["small"], row["medium"], row["large"]]
        for name, row in by_class(context).items()
    ]
    columns = ["class", "objects", "median √area (px)", "small", "medium", "large"]
    return Section(title="Classes", blocks=[Table(columns=columns, rows=rows, digits=2)])


def _card(context: Context, finding: Finding) -> Card:
    rows = {term: _tied(text) for term, text in facts(finding).items() if term != "seen"}
    return Card(
        severity=finding.severity,
        title=_tied(finding.symptom),
        facts=rows,
        pictures=worst_images(context, finding),
    )


def _tied(text: str) -> str:
    """A number and its % stay on one line."""
    return text.replace(" %", "\u00a0%")
