"""What a COCO JSON file holds, as typed entries."""

from typing import Any

import msgspec

from kedge.data.extremes import Extremes, extremes_said


class CocoImage(msgspec.Struct):
    """One entry of "images". Sizes may be missing: the file knows them."""

    id: int
    file_name: str = ""
    width: float | None = None
    height: float | None = None


class CocoAnnotation(msgspec.Struct):
    """One entry of "annotations"; bbox is x, y, width, height in pixels, area that of the mask."""

    id: int
    image_id: int
    category_id: int
    bbox: list[float | None] | None = None
    iscrowd: int | bool | None = 0
    ignore: int | bool | None = 0
    area: float | None = None
    attributes: msgspec.Raw = msgspec.Raw(b"")


class Outline:
    """What is kept of a "segmentation": the extreme points of its polygons, none of a mask (RLE)
    or of an empty list; `odd`: it is neither."""

    __slots__ = ("extremes", "odd")

    def __init__(self, said: Any) -> None:
        none = isinstance(said, dict) or said is None or said == []
        self.extremes: Extremes | None = None if none else extremes_said(said)
        self.odd = not none and self.extremes is None


class CocoOutlined(CocoAnnotation):
    """An annotation whose polygons are asked for."""

    segmentation: Outline | None = None


class CocoCategory(msgspec.Struct):
    """One entry of "categories"."""

    id: int
    name: str


class CocoFile(msgspec.Struct):
    """A COCO JSON file."""

    images: list[CocoImage]
    categories: list[CocoCategory]
    annotations: list[CocoAnnotation] | msgspec.UnsetType = msgspec.UNSET


class CocoOutlines(CocoFile):
    """A COCO JSON file whose polygons are asked for: four points of each object stay in memory."""

    annotations: list[CocoOutlined] | msgspec.UnsetType = msgspec.UNSET  # pyright: ignore


class CocoCategories(msgspec.Struct):
    """The classes of a COCO JSON file alone."""

    categories: list[CocoCategory]
