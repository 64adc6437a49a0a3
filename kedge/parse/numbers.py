"""Numbers as people and programs type them: 12, 12.0, "12", null."""

import math
import re
from typing import Any

_LARGEST = 2**63


def number(value: Any) -> float | None:
    """The number that `value` is, or that its text spells; None where it is neither.

    NaN and infinity pass: they are numbers to be refused by whoever uses them.
    """
    if isinstance(value, str):
        if "_" in value:  # Python's own spelling only
            return None
        try:
            return float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def whole(value: Any) -> int | None:
    """The whole number that `value` is or spells (12, 12.0, "12", "000012"), if 64 bits hold it."""
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,25}\s*", value):
        value = int(value)  # exactly, also beyond 2**53
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if -_LARGEST <= value < _LARGEST else None
    found = number(value)
    if found is None or not math.isfinite(found) or found != int(found):
        return None
    return int(found) if abs(found) < _LARGEST else None


def side(value: Any) -> int | None:
    """The pixels of one side of an image: 0 where it is not said, None where `value` is no size."""
    empty = value is None or (isinstance(value, str) and not value.strip())
    found = 0.0 if empty else number(value)
    return int(found) if found is not None and math.isfinite(found) and 0 <= found < 2**31 else None


def flag(value: Any) -> bool | None:
    """Yes or no: true, 1, "1", "true"; false, 0, "0", "false", "", null. None: neither."""
    if value is None:
        return False
    if isinstance(value, str):
        value = {"true": 1, "false": 0, "": 0, "yes": 1, "no": 0}.get(value.strip().lower(), value)
    if isinstance(value, bool):
        return value
    found = number(value)
    return None if found not in (0.0, 1.0) else bool(found)
