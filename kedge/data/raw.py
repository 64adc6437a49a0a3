"""What a reader hands to the checks: images and boxes as the files say them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kedge.data.extremes import Extremes, packed
from kedge.data.records import OnBadBox


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """How a data set is to be read. `path`: what was named, in which its splits are found; `root`:
    the data folder, out of which no path may lead; `splits`: all that the set has; `rooted`:
    whether the user named the root; `extremes`: whether polygons are to give extreme points."""

    path: Path
    root: Path
    split: str | None = None
    splits: tuple[str, ...] = ()
    on_bad_box: OnBadBox = "error"
    check_images: bool = True
    rooted: bool = False
    extremes: bool = False


@dataclass(slots=True, kw_only=True)
class RawImage:
    """An image as the annotations name it. width = 0: not said; file = None: boxes only."""

    name: str
    file: Path | None
    image_id: int
    width: int = 0
    height: int = 0
    upright: bool = True
    black_white: tuple[float, float] | None = None


@dataclass(slots=True, kw_only=True)
class RawBoxes:
    """All boxes of all images, packed: `image` (n,) index into the images, `xyxy` (n, 4) float64
    as the files say them, `label` (n,), `crowd` (n,), `extremes` (n, 4) as `kedge.data.extremes`
    defines them, if there are any, `area` (n,) float64 as `Record` has it; `where(row)` names a
    row's record."""

    image: np.ndarray
    xyxy: np.ndarray
    label: np.ndarray
    crowd: np.ndarray
    where: Callable[[int], str]
    extremes: np.ndarray | None = None
    area: np.ndarray | None = None


@dataclass(slots=True)
class Rows:
    """Boxes collected one at a time, for readers of one small file an image."""

    image: list[int] = field(default_factory=list)
    xyxy: list[tuple[float, float, float, float]] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    extremes: list[Extremes | None] = field(default_factory=list)
    area: list[float | None] = field(default_factory=list)

    def add(
        self,
        image: int,
        xyxy: tuple[float, float, float, float],
        label: int,
        where: str,
        crowd: bool = False,
        extremes: Extremes | None = None,
        area: float | None = None,
    ) -> None:
        """One box of image number `image`."""
        self.image.append(image)
        self.xyxy.append(xyxy)
        self.label.append(label)
        self.crowd.append(crowd)
        self.where.append(where)
        self.extremes.append(extremes)
        self.area.append(area)

    def pack(self) -> RawBoxes:
        """All of them as arrays."""
        return RawBoxes(
            image=np.array(self.image, np.int64),
            xyxy=np.array(self.xyxy, np.float64).reshape(-1, 4),
            label=np.array(self.label, np.int64),
            crowd=np.array(self.crowd, bool),
            where=self.where.__getitem__,
            extremes=packed(self.extremes),
        )
