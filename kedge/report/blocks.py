"""What a report is made of: sections of blocks. Plain data; ``page`` turns it into HTML.

Text of any block may hold `code` in backticks and **bold**; all the rest is shown as it stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note", "good"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Paragraphs, parted by empty lines."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Lines to copy: a command, a configuration, anchors in a framework's syntax."""

    code: str
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The few numbers that matter, large: (value, what it is, remark)."""

    items: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells: strings as they are, numbers with `digits` decimals, None and NaN as a dash.

    `best` names columns whose largest number is set in bold.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    digits: int = 3
    best: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A plotly figure. `caption` says what to see; `alt` replaces it for screen readers."""

    figure: Any
    caption: str = ""
    alt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture: anything that ``kedge.report.to_image`` reads."""

    image: Any
    caption: str = ""
    alt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Figures or images side by side where the screen is wide enough, with a caption for all."""

    blocks: Sequence[Figure | Image]
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something to act upon, or to be glad of. `facts`: term -> text, such as evidence, cause,
    cure.

    A text of several lines is shown as code. `pictures` stand beneath.
    """

    severity: Severity
    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    pictures: Sequence[Image] = ()


Block = Text | Code | Numbers | Table | Figure | Image | Grid | Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading with blocks beneath; sections make up the table of contents."""

    title: str
    blocks: Sequence[Block]
