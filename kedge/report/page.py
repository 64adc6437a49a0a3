"""Self-contained HTML reports: one file, no network, light and dark, from phone to print."""

import base64
import datetime
import functools
import io
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import PIL.Image

from kedge.counted import count
from kedge.files import write_text
from kedge.report.blocks import Block, Finding, Grid, Image, Section
from kedge.report.strokes import to_image
from kedge.report.style import DARK

BUDGET = 3_000_000
# (longest side in pixels, WebP quality): the first step that fits the page into its budget is taken
_STEPS = ((1280, 82), (1100, 76), (900, 70), (720, 64), (560, 56), (420, 48))


def write_report(
    path: str | os.PathLike[str],
    title: str,
    sections: Sequence[Section],
    *,
    subtitle: str = "",
    facts: Mapping[str, str] | None = None,
    budget: int = BUDGET,
) -> Path:
    """Write a report; a reader sees the old file or the whole new one, never a part.

    `facts` (command, data set, version ...) stand under the title. Pictures are made smaller, all
    alike, until the page has at most `budget` bytes. Returns the path.

    Errors: ``ValueError`` where even the smallest pictures leave the page above `budget`.
    """
    target = Path(path)
    pictures = [to_image(block.image) for block in _images(sections)]
    shell = _render(
        title, sections, subtitle=subtitle, facts=facts or {}, pictures=[""] * len(pictures)
    )
    room = budget - len(shell.encode())
    uris = _fit(pictures, room)
    if uris is None:
        raise ValueError(
            f"{target}: no room for {count(len(pictures), 'picture')} in {budget:,} bytes "
            f"beside {len(shell):,} of text and figures: give fewer pictures or a larger budget"
        )
    page = _render(title, sections, subtitle=subtitle, facts=facts or {}, pictures=uris)
    write_text(target, page)
    return target


def _images(sections: Sequence[Section]) -> Iterator[Image]:
    """All pictures, in the order in which the template meets them."""
    for section in sections:
        for block in section.blocks:
            yield from _images_of(block)


def _images_of(block: Block) -> Iterator[Image]:
    if isinstance(block, Image):
        yield block
    elif isinstance(block, Grid):
        for part in block.blocks:
            yield from _images_of(part)
    elif isinstance(block, Finding):
        yield from block.pictures


def _fit(pictures: Sequence[PIL.Image.Image], room: int) -> list[dict[str, Any]] | None:
    for side, quality in _STEPS:
        encoded = [encode_image(picture, side=side, quality=quality) for picture in pictures]
        # each picture is written once; the address, its width and its height cost a little more
        if sum(len(e["src"]) + 16 for e in encoded) <= room:
            return encoded
    return None


def encode_image(image: PIL.Image.Image, *, side: int = 1280, quality: int = 82) -> dict[str, Any]:
    """A picture as a WebP data URI: ``src``, ``width``, ``height``; its longest side at most
    `side`.
    """
    small = image.convert("RGB")
    small.thumbnail((side, side), PIL.Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=quality, method=4)
    data = base64.b64encode(buffer.getvalue()).decode()
    return {"src": f"data:image/webp;base64,{data}", "width": small.width, "height": small.height}


def _render(
    title: str,
    sections: Sequence[Section],
    *,
    subtitle: str,
    facts: Mapping[str, str],
    pictures: Sequence[Any],
) -> str:
    queue = iter(pictures)
    has_figures = any(_has_figure(block) for section in sections for block in section.blocks)
    return _template().render(
        title=title,
        subtitle=subtitle,
        facts=facts,
        sections=sections,
        count=_Counter(),
        picture=lambda: next(queue) or {"src": "", "width": 0, "height": 0},
        css=_read("report.css"),
        script=_read("report.js"),
        plotly=_read("../vendor/plotly-cartesian.min.js") if has_figures else "",
        swap=json.dumps(DARK),
        today=datetime.date.today().isoformat(),
    )


class _Counter:
    """Numbers figures and tables as the template meets them."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def __call__(self, word: str) -> int:
        self._seen[word] = self._seen.get(word, 0) + 1
        return self._seen[word]


def _has_figure(block: Block) -> bool:
    return hasattr(block, "figure") or any(_has_figure(b) for b in getattr(block, "blocks", ()))


@functools.cache
def _read(name: str) -> str:
    folder, _, file = name.rpartition("/")
    place = resources.files("kedge.report") / ("vendor" if folder else "page_files") / file
    return place.read_text(encoding="utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"rich": _rich, "paragraphs": _paragraphs, "cell": _cell, "plot": _plot}
    environment.filters |= {
        "kind": lambda block: type(block).__name__,
        "best": _best,
        "slug": _slug,
    }
    environment.filters["leading"] = _leading
    environment.tests["number"] = _is_number
    return environment.from_string(_read("report.html.j2"))


def _rich(text: str) -> markupsafe.Markup:
    """Escape, then turn `code` and **bold** into HTML."""
    safe = str(markupsafe.escape(text))
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    return markupsafe.Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe))


def _paragraphs(text: str) -> list[markupsafe.Markup]:
    return [_rich(part.strip()) for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Any, digits: int) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:,.{digits}f}"
    return f"{value:,}" if _is_number(value) else str(value)


def _best(rows: Sequence[Sequence[Any]], column: int) -> float | None:
    """The largest number of a column; a cell "0.41 ± 0.02" counts as 0.41."""
    values = [_leading(row[column]) for row in rows]
    finite = [v for v in values if v is not None and math.isfinite(v)]
    return max(finite) if len(finite) > 1 else None


def _leading(value: Any) -> float | None:
    if _is_number(value):
        return value
    try:
        return float(str(value).split()[0])
    except (ValueError, IndexError):
        return None


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"


def _plot(figure: Any) -> markupsafe.Markup:
    """A figure as JSON that can stand inside a script element."""
    text = figure.to_json()
    return markupsafe.Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))
