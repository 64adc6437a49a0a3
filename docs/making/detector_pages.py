"""One page for each detector, from its docstring, its parts as it is made, the tables of
docs/detectors.md and docs/edge.md, its recipe and the results."""

from functools import cache
from typing import Any

from measured import listed, made_by, results, table, trained
from strategy_pages import settings
from written import ROOT, described, parity_tests, rows

from kedge.detectors import DETECTORS, detector_class

PARTS = ("assign", "sample", "coder", "loss", "selection")


def detector_pages() -> dict[str, str]:
    """Markdown by its path in the site."""
    pages = {f"detectors/{name}.md": _page(name) for name in DETECTORS}
    return {"detectors/index.md": _list()} | pages


def _list() -> str:
    found = [
        {"detector": f"[{DETECTORS[name]}]({name}.md)", "when it wins": row["when it wins"]}
        for name, row in rows("detectors.md").items()
    ]
    how = "[how to choose a detector](../detectors.md)"
    return listed("Detectors", "One page each.", how, found)


def _page(name: str) -> str:
    make = detector_class(name)
    title = DETECTORS[name]
    row = {k: v for k, v in rows("detectors.md")[name].items() if k not in ("name", "source")}
    first, more, source = described(make)
    exports = rows("edge.md")[name]
    said = f": {exports['how, or why not']}" if exports.get("how, or why not") else ""
    parts = [
        f"# {title}\n\n{first}",
        table([row]),
        f"<!-- view: detector-{name} -->",
        *([more] if more else []),
        f"## Parts\n\n{_parts(name)}",
        f"## Settings\n\n{settings(make)}\n\nOn the command line `kedge train --detector {name}`; "
        f"settings without a flag of their own by `--options key=value`. In code: [{title}]"
        f"[{make.__module__}.{title}].",
        f"## What it reached\n\n{_reached(name)}",
        f"## At the edge\n\n[Exports](../edge.md#which-detectors): {exports['exports']}{said}.",
        f"## Parity\n\n{_parity(name, title)}",
        f"## Source\n\n{source or rows('detectors.md')[name]['source']}",
    ]
    return "\n\n".join(parts) + "\n"


@cache
def small(name: str) -> Any:
    """The detector as it is made without settings, for three classes."""
    return detector_class(name)(num_classes=3)


def _parts(name: str) -> str:
    made = small(name)
    found = [
        {"part": part, "by default": f"`{_said(getattr(made, part))}`"}
        for part in PARTS
        if getattr(made, part, None) is not None
    ]
    grid = made.grid((256, 320)) if hasattr(made, "grid") else None
    if grid is not None:
        strides = ", ".join(f"{level.strides[0]:g}" for level in grid.levels)
        found.append({"part": "strides", "by default": strides})
        found.append({"part": "anchors in 256 x 320", "by default": f"{len(grid):,}"})
    count = sum(p.numel() for p in made.parameters())
    found.append({"part": "parameters, `tiny`, 3 classes", "by default": f"{count:,}"})
    return table(found)


def _said(part: Any) -> str:
    text = " ".join(repr(part).split())
    return text if len(text) < 200 and " at 0x" not in text else type(part).__name__


def _reached(name: str) -> str:
    recipes = sorted(
        path.stem
        for path in (ROOT / "recipes").glob("*.yaml")
        if f"\n  detector: {name}\n" in path.read_text(encoding="utf-8")
    )
    rows_of = [said for recipe in recipes if (said := trained(recipe))]
    names = ", ".join(f"`recipes/{recipe}.yaml`" for recipe in recipes)
    if not recipes:
        return "There is no recipe of its own yet."
    if not rows_of:
        return f"Not in the table of detectors yet. Recipes: {names}."
    why = "Each by its own recipe, on a CPU: [detectors](../benchmarks.md#detectors)."
    return "\n\n".join([f"{why} Recipes: {names}.", *rows_of, _when()])


def _when() -> str:
    result = dict(results("detectors"))
    return made_by(result | {"command": result["command"].split(" recipes/")[0] + " recipes/..."})


def _parity(name: str, title: str) -> str:
    without = "No test beside another library's code names it; `tests/detectors` holds it."
    return parity_tests((name, title)) or without
