"""Options that several commands share."""

import sys
from collections.abc import Iterable
from typing import Annotated

from cyclopts import Parameter

Several = Parameter(consume_multiple=True, negative=())
Sides = Annotated[list[int] | None, Several]


def height_and_width(values: list[int] | None) -> tuple[int, int] | None:
    """``--image-size``: one number is a square, two are height and width."""
    if values is None:
        return None
    if len(values) not in (1, 2) or min(values) < 1:
        raise ValueError(f"--image-size: expected a side, or height and width, got {values}")
    return values[0], values[-1]


def say(lines: Iterable[str]) -> None:
    """Print what a reader has to say (``kedge.data.said``) beside the result, not into it."""
    for line in lines:
        print(f"kedge: {line}", file=sys.stderr)
