"""Options that several commands share."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter, Token

Several = Parameter(consume_multiple=True, negative=())
Sides = Annotated[list[int] | None, Several]


def height_and_width(values: Sequence[int] | None) -> tuple[int, int] | None:
    """``--image-size``: one number is a square, two are height and width."""
    if values is None:
        return None
    if len(values) not in (1, 2) or min(values) < 1:
        raise ValueError(f"--image-size: expected a side, or height and width, got {list(values)}")
    return values[0], values[-1]


def _size(type_: object, tokens: Sequence[Token]) -> tuple[int, int]:
    del type_
    try:
        sides = [int(token.value) for token in tokens]
    except ValueError:
        said = " ".join(token.value for token in tokens)
        raise ValueError(
            f"--image-size: expected a side, or height and width, got {said!r}"
        ) from None
    found = height_and_width(sides)
    assert found is not None
    return found


Size = Annotated[tuple[int, int], Parameter(converter=_size, n_tokens=-1, consume_multiple=True)]
