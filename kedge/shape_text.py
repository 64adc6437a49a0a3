"""Shapes as people type them."""

import re

SHAPE = re.compile(r"^\s*([0-9.]+)\s*x\s*([0-9.]+)\s*$")


def parse_shapes(text: str) -> list[tuple[float, float]]:
    """``"10x13,16x30"`` as shapes (w, h) in pixels."""
    shapes = []
    for word in text.split(","):
        match = SHAPE.match(word)
        if match is None:
            raise ValueError(f"{word!r} is not a shape such as 10x13 (w x h, pixels)")
        w, h = float(match[1]), float(match[2])
        if not (w > 0 and h > 0):
            raise ValueError(f"shape {word!r} has no area")
        shapes.append((w, h))
    return shapes
