"""The frameworks that designs are printed for, as far as a design depends on them."""

from typing import Literal, NamedTuple

FrameworkName = Literal["kedge", "torchvision", "detectron2", "mmdetection", "yolov5", "darknet"]
ResizeRule = Literal["letterbox", "stretch", "short-side"]


class Framework(NamedTuple):
    """``resize``: what it does with images before its detectors see them (``resizing``).
    ``shared_heads``: every level has as many shapes. ``in_order``: it compares shapes alone, in the
    object's cell, so smaller shapes stand on finer levels.
    """

    resize: ResizeRule
    shared_heads: bool = False
    in_order: bool = False


FRAMEWORKS: dict[FrameworkName, Framework] = {
    "kedge": Framework("letterbox"),
    "torchvision": Framework("short-side", shared_heads=True),
    "detectron2": Framework("short-side", shared_heads=True),
    "mmdetection": Framework("short-side", shared_heads=True),
    "yolov5": Framework("letterbox", shared_heads=True, in_order=True),
    "darknet": Framework("stretch"),
}
