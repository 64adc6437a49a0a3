"""The frameworks that designs are printed for, as far as a design depends on them."""

from typing import Literal, NamedTuple

FrameworkName = Literal["kedge", "torchvision", "detectron2", "mmdetection", "yolov5", "darknet"]


class Framework(NamedTuple):
    """``shared_heads``: every level has as many shapes. ``in_order``: it compares shapes alone, in
    the object's cell, so smaller shapes stand on finer levels.
    """

    shared_heads: bool = False
    in_order: bool = False


FRAMEWORKS: dict[FrameworkName, Framework] = {
    "kedge": Framework(),
    "torchvision": Framework(shared_heads=True),
    "detectron2": Framework(shared_heads=True),
    "mmdetection": Framework(),
    "yolov5": Framework(shared_heads=True, in_order=True),
    "darknet": Framework(),
}
