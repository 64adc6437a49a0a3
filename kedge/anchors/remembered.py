"""What was made before, and is wanted again: the last of it."""

from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

MOST = 64  # image sizes, say: more than a training has, and a bound where each image has its own


def remembered(known: dict[Key, Value], key: Key, value: Value) -> Value:
    """``value``, put into ``known``, from which the oldest goes when it is full."""
    if key not in known and len(known) >= MOST:
        known.pop(next(iter(known)))
    known[key] = value
    return value
