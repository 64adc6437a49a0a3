"""What the page asks about: one image, anchors, up to four strategies; checked as it comes in.

Boxes and shapes are xyxy and (w, h) in pixels; a size is (H, W). ``State`` is what the page keeps
in its address, what "undo" goes through, and what code is made of.
"""

from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.counted import count
from kedge.data.seen import Placement
from kedge.design.network import Letterbox, ShorterSide, Stretch

MOST_ANCHORS = 2_000_000
MOST_BOXES = 20_000
Positive = Annotated[float, Field(gt=0, le=1e6)]
Side = Annotated[int, Field(ge=16, le=8192)]
Shape = tuple[Positive, Positive]
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]
Box = tuple[Coordinate, Coordinate, Coordinate, Coordinate]


class Asked(BaseModel):
    """A request: nothing unknown in it, nothing infinite, and it does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LevelState(Asked):
    """One feature map: see ``kedge.Level``. ``stride`` is (y, x); ``shapes`` None: points."""

    stride: tuple[Positive, Positive]
    shapes: Annotated[tuple[Shape, ...], Field(min_length=1, max_length=64)] | None = None
    offset: Annotated[float, Field(ge=0, le=1)] = 0.5
    cells: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    measured: bool = False

    @staticmethod
    def of(level: Level) -> "LevelState":
        """The same as a ``Level`` says it."""
        shapes = None
        if level.shapes is not None:
            shapes = tuple((float(w), float(h)) for w, h in level.shapes_tensor().tolist())
        y, x = level.strides
        return LevelState(
            stride=(float(y), float(x)),
            shapes=shapes,
            offset=float(level.offset),
            cells=level.size,
            measured=level.measured,
        )

    def level(self) -> Level:
        """The ``Level``."""
        return Level(
            stride=self.stride,
            shapes=self.shapes,
            offset=self.offset,
            size=self.cells,
            measured=self.measured,
        )


class StrategyState(Asked):
    """A strategy by name, and the settings that are not its defaults."""

    name: Annotated[str, Field(max_length=40)]
    settings: dict[str, Any] = Field(default_factory=dict, max_length=20)

    def spec(self) -> dict[str, Any]:
        """As ``kedge.assign.by_name.strategy`` takes it."""
        return {"name": self.name, **self.settings}


class State(Asked):
    """All that an answer depends on.

    ``image``: a number of the data set, or the name of an upload. ``boxes`` and ``labels``: objects
    drawn on the page, in pixels of the image, in place of the image's own.
    """

    image: Annotated[str, Field(max_length=40)]
    boxes: Annotated[tuple[Box, ...], Field(max_length=MOST_BOXES)] | None = None
    labels: Annotated[tuple[int, ...], Field(max_length=MOST_BOXES)] | None = None
    resize: Literal["letterbox", "stretch", "short-side"] = "letterbox"
    size: tuple[Side, Side]
    levels: Annotated[tuple[LevelState, ...], Field(min_length=1, max_length=12)]
    strategies: Annotated[tuple[StrategyState, ...], Field(min_length=1, max_length=4)]
    sampler: Annotated[str, Field(max_length=200)] | None = None

    def place(self, height: int, width: int) -> Placement:
        """Where an image of (height, width) lies on the network's input."""
        if self.resize == "letterbox":
            return Letterbox(size=self.size).place(height, width)
        if self.resize == "stretch":
            return Stretch(size=self.size).place(height, width)
        return ShorterSide(side=self.size[0], longest=self.size[1]).place(height, width)

    def grid(self, image_size: tuple[int, int]) -> Grid:
        """The anchors over an input (H, W); ``ValueError`` where there are too many."""
        return _grid(image_size, self.levels)


@lru_cache(maxsize=16)
def _grid(image_size: tuple[int, int], levels: tuple[LevelState, ...]) -> Grid:
    """Kept between requests: a threshold that moves leaves the anchors where they are."""
    cells = [
        (image_size[0] // level.stride[0] + 1)
        * (image_size[1] // level.stride[1] + 1)
        * (1 if level.shapes is None else len(level.shapes))
        for level in levels
    ]
    if sum(cells) > MOST_ANCHORS:
        raise ValueError(
            f"{count(int(sum(cells)), 'anchor')} are more than this page draws "
            f"({MOST_ANCHORS:,}): take a larger stride, fewer shapes or a smaller input"
        )
    return Grid(image_size, [level.level() for level in levels])
