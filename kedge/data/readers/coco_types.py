"""What a COCO JSON file holds, as typed entries."""

import msgspec


class CocoImage(msgspec.Struct):
    """One entry of "images". Sizes may be missing: the file knows them."""

    id: int
    file_name: str = ""
    width: float | None = None
    height: float | None = None


class CocoAnnotation(msgspec.Struct):
    """One entry of "annotations"; bbox is x, y, width, height in pixels."""

    id: int
    image_id: int
    category_id: int
    bbox: list[float | None] | None = None
    iscrowd: int | bool | None = 0
    ignore: int | bool | None = 0
    attributes: msgspec.Raw = msgspec.Raw(b"")


class CocoCategory(msgspec.Struct):
    """One entry of "categories"."""

    id: int
    name: str


class CocoFile(msgspec.Struct):
    """A COCO JSON file."""

    images: list[CocoImage]
    categories: list[CocoCategory]
    annotations: list[CocoAnnotation] | msgspec.UnsetType = msgspec.UNSET


class CocoCategories(msgspec.Struct):
    """The classes of a COCO JSON file alone."""

    categories: list[CocoCategory]
