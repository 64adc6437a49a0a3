"""Options that several commands share."""

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

from cyclopts import Parameter, Token

Several = Parameter(consume_multiple=True, negative=())
Sides = Annotated[list[str] | None, Several]


def height_and_width(values: Sequence[str | int] | None) -> tuple[int, int] | None:
    """``--image-size``: one number is a square, two are height and width, also as 480x640."""
    if values is None:
        return None
    said = " ".join(map(str, values))
    match = re.fullmatch(r"\s*(\d{1,6})(?:\s*(?:[xX×,]|\s)\s*(\d{1,6}))?\s*", said)
    size = (0, 0) if match is None else (int(match[1]), int(match[2] or match[1]))
    if min(size) < 1:
        raise ValueError(
            "--image-size: expected a side, or height and width (640, 480 640 or 480x640), "
            f"got {said!r}"
        )
    return size


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
