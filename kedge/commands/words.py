"""Options that several commands share."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token

from kedge.anchors.presets import preset_names
from kedge.shape_text import parse_size

Several = Parameter(consume_multiple=True, negative=())
Sides = Annotated[list[str] | None, Several]
Root = Annotated[
    Path | None,
    Parameter(
        help="The data folder, where it is not the one in which the annotations lie: images are "
        "looked for in it, and nowhere else."
    ),
]
PRESETS = f"Presets: {', '.join(preset_names())}."
Anchors = Annotated[
    str | None,
    Parameter(
        help="With --detector: other anchors, a preset, a file of kedge design --json, or a list "
        f"such as 10x13,16x30. {PRESETS}",
        allow_leading_hyphen=True,
    ),
]


def height_and_width(
    values: Sequence[str | int] | None, flag: str = "--image-size"
) -> tuple[int, int] | None:
    """What ``flag`` says: one number is a square, two are height and width, also as 480x640."""
    if values is None:
        return None
    try:
        return parse_size(" ".join(map(str, values)))
    except ValueError as problem:
        raise ValueError(f"{flag}: {problem}") from None


def _size(type_: object, tokens: Sequence[Token]) -> int | tuple[int, int] | None:
    """A side alone stays one number: what it means is the resizing's business."""
    del type_
    words = [token.value for token in tokens]
    size = height_and_width(words)
    return size[0] if size and len(words) == 1 and words[0].strip().isdigit() else size


Size = Annotated[
    int | tuple[int, int] | None,
    Parameter(converter=_size, n_tokens=-1, consume_multiple=True),
]


def say(lines: Iterable[str]) -> None:
    """Print what a reader has to say (``kedge.data.said``) beside the result, not into it."""
    for line in lines:
        print(f"kedge: {line}", file=sys.stderr)
