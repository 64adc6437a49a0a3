"""How images come to the network's input, by the rules that frameworks have for it."""

from dataclasses import dataclass

import numpy as np

from kedge.design.frameworks import ResizeRule
from kedge.design.network import Letterbox, Recipe, Resize, ShorterSide, Stretch

SQUARE, SHORT_SIDE = (640, 640), (800, 1333)  # usual inputs
_MOST, _APART = 6, 32  # scales of multi-scale training that are tried, and pixels between two


@dataclass(frozen=True, slots=True, kw_only=True)
class Resizing:
    """Resizing by a ``rule`` into ``size`` (H, W), at one scale or at several.

    short-side: the shorter side of an image becomes the first of ``size``, unless the longer would
    exceed the second. ``multi_scale``: smallest and largest shorter side of multi-scale training;
    every image is then seen at up to six scales between them, in the proportion of ``size``, and of
    short-side up to the same longer side.
    """

    rule: ResizeRule
    size: tuple[int, int]
    multi_scale: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        low, high = self.multi_scale or (1, 1)
        if min(self.size) < 1:
            raise ValueError(f"--image-size: expected positive sides, got {self.size}")
        if not 1 <= low <= high:
            raise ValueError(f"--multi-scale: expected two sides, smallest first, got {low} {high}")

    @staticmethod
    def of(
        rule: ResizeRule,
        size: int | tuple[int, int] | None,
        multi_scale: tuple[int, int] | None = None,
    ) -> "Resizing":
        """With the usual input where none is given, and the usual proportion where one side is."""
        short, long = SHORT_SIDE
        if rule != "short-side":
            pair = SQUARE if size is None else (size, size) if isinstance(size, int) else size
        elif size is None:
            pair = SHORT_SIDE
        else:
            pair = (size, round(size * long / short)) if isinstance(size, int) else size
            pair = (min(pair), max(pair))
        return Resizing(rule=rule, size=pair, multi_scale=multi_scale)

    @property
    def sides(self) -> tuple[int, ...]:
        """The shorter sides of the inputs that images come to."""
        if self.multi_scale is None:
            return (min(self.size),)
        low, high = self.multi_scale
        number = min(_MOST, max(2, 1 + (high - low) // _APART))
        return tuple(sorted({round(float(side)) for side in np.linspace(low, high, number)}))

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of the largest input: where the anchors' grid ends. Of short-side a
        square, since images lie and stand."""
        if self.rule == "short-side":
            return self.size[1], self.size[1]
        return self._scaled(self.sides[-1])

    @property
    def recipe(self) -> Recipe:
        """The same as a recipe: every image at every scale."""
        resizes = tuple(self._resize(side) for side in self.sides)
        return Recipe(resizes=resizes, passes=len(resizes))

    @property
    def text(self) -> str:
        """In words."""
        height, width = self.size
        words = {
            "letterbox": f"letterboxed into {height} x {width} (height x width)",
            "stretch": f"stretched to {height} x {width} (height x width)",
            "short-side": f"resized to a shorter side of {height}, the longer {width} at most",
        }[self.rule]
        if self.multi_scale is None:
            return words
        return f"{words}; shorter sides of {', '.join(map(str, self.sides))} in training"

    def _resize(self, side: int) -> Resize:
        if self.rule == "short-side":
            return ShorterSide(side=side, longest=self.size[1])
        return (Letterbox if self.rule == "letterbox" else Stretch)(size=self._scaled(side))

    def _scaled(self, side: int) -> tuple[int, int]:
        height, width = self.size
        return round(height * side / min(self.size)), round(width * side / min(self.size))
