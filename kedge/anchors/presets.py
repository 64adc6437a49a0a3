"""Published anchors, as data: what the well-known detectors put on their feature maps.

A shape is ``(w, h)`` in pixels of the network's input; ``h_over_w`` is the aspect ratio, always
height over width. Levels come in order of their stride. Shapes are exact; where a framework rounds
them, a preset of its own (``*_torchvision``) carries the rounded form: up to a pixel a side apart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

Shape = tuple[float, float]
_OCTAVES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))


class PresetLevel(NamedTuple):
    """One feature map: its stride in pixels and the shapes ``(w, h)`` at each of its cells."""

    stride: float
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A published set of anchors: where it comes from and what lies on which level.

    ``image_size`` is the input (H, W) for which it was published; ``offset`` is where in its cell
    an anchor's centre lies (0.5 = the middle, 0 = the corner, as in torchvision and Detectron2).
    """

    name: str
    source: str
    levels: tuple[PresetLevel, ...]
    image_size: tuple[int, int]
    offset: float = 0.5

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """All shapes, level by level."""
        return tuple(shape for level in self.levels for shape in level.shapes)

    @property
    def strides(self) -> tuple[float, ...]:
        """Stride of every level, in pixels."""
        return tuple(level.stride for level in self.levels)


def ratio_shapes(
    sizes: Sequence[float], h_over_w: Sequence[float], size_outer: bool = False
) -> tuple[Shape, ...]:
    """Shapes of area ``size ** 2``: ``w = size / sqrt(r)``, ``h = size * sqrt(r)``, ``r = h / w``.

    The order is torchvision's and MMDetection's (ratio outer, size inner) unless ``size_outer``
    (Detectron2's and PaddleDetection's).
    """
    if size_outer:
        return tuple((s / sqrt(r), s * sqrt(r)) for s in sizes for r in h_over_w)
    return tuple((s / sqrt(r), s * sqrt(r)) for r in h_over_w for s in sizes)


def torchvision_rounded(shapes: Sequence[Shape]) -> tuple[Shape, ...]:
    """The shapes that torchvision's ``AnchorGenerator`` makes of these.

    It rounds half a side, and halves to even: a side of 5 becomes 4, one of 7 becomes 8, and a
    side of 1 becomes 0, an anchor without area.
    """
    return tuple((2.0 * round(w / 2), 2.0 * round(h / 2)) for w, h in shapes)


def _levels(strides: Sequence[float], shapes: Sequence[Sequence[Shape]]) -> tuple[PresetLevel, ...]:
    return tuple(PresetLevel(s, tuple(m)) for s, m in zip(strides, shapes, strict=True))


def retinanet_shapes(
    strides: Sequence[float] = (8, 16, 32, 64, 128),
    octave_base: float = 4.0,
    scales: Sequence[float] = _OCTAVES,
    h_over_w: Sequence[float] = (0.5, 1.0, 2.0),
) -> tuple[tuple[Shape, ...], ...]:
    """RetinaNet's nine shapes for every level: size ``octave_base * stride * scale``, three ratios.

    Source: Lin et al., arXiv:1708.02002, section 4 (areas 32^2 to 512^2 on P3 to P7, three scales).
    """
    return tuple(ratio_shapes([octave_base * s * o for o in scales], h_over_w) for s in strides)


def ssd_shapes(
    min_sizes: Sequence[float],
    max_sizes: Sequence[float],
    w_over_h: Sequence[Sequence[float]],
    clip: float | None = None,
) -> tuple[tuple[Shape, ...], ...]:
    """SSD's shapes per level: two squares (min, ``sqrt(min * max)``), each ratio and its inverse.

    SSD states ratios as width over height. ``clip`` limits both sides (torchvision: the image).
    Source: Liu et al., arXiv:1512.02325, section 2.2.
    """
    limit = float("inf") if clip is None else clip
    result = []
    for low, high, ratios in zip(min_sizes, max_sizes, w_over_h, strict=True):
        shapes: list[Shape] = [(low, low), (sqrt(low * high), sqrt(low * high))]
        for a in ratios:
            w, h = low * sqrt(a), low / sqrt(a)
            shapes += [(w, h), (h, w)]
        result.append(tuple((min(w, limit), min(h, limit)) for w, h in shapes))
    return tuple(result)


_SSD_RATIOS = {6: [(2,), (2, 3), (2, 3), (2, 3), (2,), (2,)]}
_SSD_RATIOS[7] = [(2,), (2, 3), (2, 3), (2, 3), (2, 3), (2,), (2,)]


def _ssd(name: str, source: str, side: int, percent: Sequence[float], clip: bool = False) -> Preset:
    strides = (8, 16, 32, 64, 100, 300) if side == 300 else (8, 16, 32, 64, 128, 256, 512)
    sizes = [p * side / 100 for p in percent]
    shapes = ssd_shapes(sizes[:-1], sizes[1:], _SSD_RATIOS[len(strides)], side if clip else None)
    levels = _levels(strides, shapes)
    return Preset(name=name, source=source, levels=levels, image_size=(side, side))


def ssd300() -> Preset:
    """SSD300 as torchvision builds it (COCO's sizes, 21 to 261 px; clipped to 300): 8,732 boxes."""
    source = "torchvision ssd300_vgg16; Liu et al., arXiv:1512.02325"
    return _ssd("ssd300", source, 300, (7, 15, 33, 51, 69, 87, 105), clip=True)


def ssd300_voc() -> Preset:
    """SSD300 with the sizes of the original VOC model (30 to 264 px)."""
    source = "weiliu89/caffe ssd_pascal.py; Liu et al., arXiv:1512.02325"
    return _ssd("ssd300_voc", source, 300, (10, 20, 37, 54, 71, 88, 105))


def ssd512() -> Preset:
    """SSD512 with the sizes of the COCO model (4 % to 90 % of 512 px): 24,564 boxes."""
    source = "weiliu89/caffe ssd_coco.py (512); Liu et al., arXiv:1512.02325"
    return _ssd("ssd512", source, 512, (4, 10, 26, 42, 58, 74, 90, 106))


def ssd512_voc() -> Preset:
    """SSD512 with the sizes of the original VOC model (7 % to 90 % of 512 px)."""
    source = "weiliu89/caffe ssd_pascal.py (512); Liu et al., arXiv:1512.02325"
    return _ssd("ssd512_voc", source, 512, (7, 15, 30, 45, 60, 75, 90, 105))


def ssdlite320() -> Preset:
    """SSDLite at 320 px as torchvision builds it: sizes of 20 % to 95 %, six shapes on six levels
    (clipped to 320); the maps of 3 and 2 cells have strides that are no powers of two."""
    sizes = [320 * (0.2 + 0.15 * k) for k in range(6)] + [320.0]
    shapes = ssd_shapes(sizes[:-1], sizes[1:], [(2, 3)] * 6, clip=320)
    levels = _levels((16, 32, 64, 320 / 3, 160, 320), shapes)
    source = "torchvision ssdlite320_mobilenet_v3_large; Howard et al., arXiv:1905.02244"
    return Preset(name="ssdlite320", source=source, levels=levels, image_size=(320, 320))


def _retinanet(name: str, source: str, shapes: Sequence[Sequence[Shape]]) -> Preset:
    levels = _levels((8, 16, 32, 64, 128), shapes)
    return Preset(name=name, source=source, levels=levels, image_size=(800, 1333), offset=0.0)


def retinanet() -> Preset:
    """RetinaNet, exact: sizes 32 * 2^(i/3), three ratios, P3 to P7."""
    source = "Lin et al., arXiv:1708.02002, section 4; Detectron2 and MMDetection (no rounding)"
    return _retinanet("retinanet", source, retinanet_shapes())


def retinanet_torchvision() -> Preset:
    """RetinaNet as torchvision builds it: sizes cut to integers (40, 50, ...) and rounded."""
    sizes = [[x, int(x * 2 ** (1 / 3)), int(x * 2 ** (2 / 3))] for x in (32, 64, 128, 256, 512)]
    shapes = [torchvision_rounded(ratio_shapes(s, (0.5, 1.0, 2.0))) for s in sizes]
    return _retinanet("retinanet_torchvision", "torchvision retinanet_resnet50_fpn", shapes)


def faster_rcnn_c4() -> Preset:
    """Faster R-CNN on one map of stride 16: five areas 32^2 to 512^2, three ratios."""
    shapes = ratio_shapes((32, 64, 128, 256, 512), (0.5, 1.0, 2.0))
    source = "Ren et al., arXiv:1506.01497; the sizes of Detectron2's and MMDetection's C4"
    levels = (PresetLevel(16, shapes),)
    return Preset(
        name="faster_rcnn_c4", source=source, levels=levels, image_size=(800, 1333), offset=0.0
    )


def py_faster_rcnn() -> Preset:
    """The nine anchors of the original code, rounded twice (184 x 96, not 181 x 91).

    Their centres lie at ``7.5 + 16 i`` in pixel indices, ``8 + 16 i`` in continuous coordinates.
    """
    shapes = ((184, 96), (368, 192), (736, 384), (128, 128), (256, 256), (512, 512))
    shapes += ((88, 176), (176, 352), (352, 704))
    source = "rbgirshick/py-faster-rcnn generate_anchors.py; Ren et al., arXiv:1506.01497"
    levels = (PresetLevel(16, tuple((float(w), float(h)) for w, h in shapes)),)
    return Preset(name="py_faster_rcnn", source=source, levels=levels, image_size=(600, 1000))


def _fpn(name: str, source: str, rounded: bool) -> Preset:
    shapes = [ratio_shapes((s,), (0.5, 1.0, 2.0)) for s in (32, 64, 128, 256, 512)]
    shapes = [torchvision_rounded(s) for s in shapes] if rounded else shapes
    levels = _levels((4, 8, 16, 32, 64), shapes)
    return Preset(name=name, source=source, levels=levels, image_size=(800, 1333), offset=0.0)


def faster_rcnn_fpn() -> Preset:
    """Faster R-CNN with FPN, exact: one size (32 to 512) and three ratios on each of P2 to P6."""
    return _fpn("faster_rcnn_fpn", "Lin et al., arXiv:1612.03144, section 4.1", False)


def faster_rcnn_fpn_torchvision() -> Preset:
    """Faster R-CNN with FPN as torchvision builds it: half sides rounded."""
    return _fpn("faster_rcnn_fpn_torchvision", "torchvision fasterrcnn_resnet50_fpn", True)


def _cells(name: str, source: str, cells: Sequence[Shape], side: int = 416) -> Preset:
    level = PresetLevel(32, tuple((32 * w, 32 * h) for w, h in cells))
    return Preset(name=name, source=source, levels=(level,), image_size=(side, side))


def yolov2_voc() -> Preset:
    """YOLOv2's five VOC anchors (published in cells of 32 px)."""
    cells = ((1.3221, 1.73145), (3.19275, 4.00944), (5.05587, 8.09892))
    cells += ((9.47112, 4.84053), (11.2364, 10.0071))
    return _cells("yolov2_voc", "pjreddie/darknet yolov2-voc.cfg; arXiv:1612.08242", cells)


def yolov2_coco() -> Preset:
    """YOLOv2's five COCO anchors (published in cells of 32 px)."""
    cells = ((0.57273, 0.677385), (1.87446, 2.06253), (3.33843, 5.47434))
    cells += ((7.88282, 3.52778), (9.77052, 9.16828))
    return _cells("yolov2_coco", "pjreddie/darknet yolov2.cfg; arXiv:1612.08242", cells, 608)


def yolov2_tiny_voc() -> Preset:
    """Tiny YOLOv2's five VOC anchors (published in cells of 32 px)."""
    cells = ((1.08, 1.19), (3.42, 4.41), (6.63, 11.38), (9.42, 5.11), (16.62, 10.52))
    return _cells("yolov2_tiny_voc", "pjreddie/darknet yolov2-tiny-voc.cfg", cells)


_V3 = (((10, 13), (16, 30), (33, 23)), ((30, 61), (62, 45), (59, 119)))
_V3 += (((116, 90), (156, 198), (373, 326)),)


def yolov3() -> Preset:
    """YOLOv3's nine anchors, three for each of the strides 8, 16, 32."""
    source = "pjreddie/darknet yolov3.cfg; Redmon and Farhadi, arXiv:1804.02767"
    levels = _levels((8, 16, 32), _V3)
    return Preset(name="yolov3", source=source, levels=levels, image_size=(416, 416))


def yolov3_tiny() -> Preset:
    """Tiny YOLOv3's six anchors on strides 16 and 32.

    Deviation: the published configuration gives the stride-16 map anchors 1 to 3 and leaves the
    smallest unused (a known slip of its mask); here each map has three.
    """
    shapes = (((10, 14), (23, 27), (37, 58)), ((81, 82), (135, 169), (344, 319)))
    levels = _levels((16, 32), shapes)
    source = "pjreddie/darknet yolov3-tiny.cfg"
    return Preset(name="yolov3_tiny", source=source, levels=levels, image_size=(416, 416))


def yolov5() -> Preset:
    """YOLOv5's P3 to P5 anchors: those of YOLOv3, used at 640 px."""
    source = "the default anchors of YOLOv5 n to x (P3 to P5); same numbers as YOLOv3"
    levels = _levels((8, 16, 32), _V3)
    return Preset(name="yolov5", source=source, levels=levels, image_size=(640, 640))


def refinedet() -> Preset:
    """RefineDet320: one size (4 strides) and three ratios on strides 8 to 64; 6,375 boxes."""
    shapes = [ratio_shapes((4 * s,), (1.0, 0.5, 2.0)) for s in (8, 16, 32, 64)]
    source = "sfzhang15/RefineDet VGG16_VOC2007_320.py; arXiv:1711.06897"
    levels = _levels((8, 16, 32, 64), shapes)
    return Preset(name="refinedet", source=source, levels=levels, image_size=(320, 320))


def text() -> Preset:
    """Text lines: seven ratios from 1:5 to 5:1, size 8 strides, on P2 to P6.

    The ratios are TextBoxes++'s; sizes and levels are those of Faster R-CNN with FPN (our choice).
    """
    ratios = (1.0, 2.0, 3.0, 5.0, 1 / 2, 1 / 3, 1 / 5)
    shapes = [ratio_shapes((8 * s,), ratios) for s in (4, 8, 16, 32, 64)]
    levels = _levels((4, 8, 16, 32, 64), shapes)
    source = "aspect ratios of TextBoxes++ (arXiv:1801.02765) on FPN levels"
    return Preset(name="text", source=source, levels=levels, image_size=(768, 768))


def faces() -> Preset:
    """Faces: squares of four strides, 16 to 512 px on strides 4 to 128 (only 1:1)."""
    shapes = [((4.0 * s, 4.0 * s),) for s in (4, 8, 16, 32, 64, 128)]
    levels = _levels((4, 8, 16, 32, 64, 128), shapes)
    source = "square anchors of S3FD (arXiv:1708.05237) and SSH (arXiv:1708.03979)"
    return Preset(name="faces", source=source, levels=levels, image_size=(640, 640))


def pedestrian() -> Preset:
    """Pedestrians: w / h = 0.41, nine heights from 40 px, each 1.3 times the last, stride 16."""
    heights = [40 * 1.3**i for i in range(9)]
    level = PresetLevel(16, tuple((0.41 * h, h) for h in heights))
    source = "w/h 0.41 and the scales of RPN+BF (Zhang et al., arXiv:1607.07032)"
    return Preset(name="pedestrian", source=source, levels=(level,), image_size=(720, 960))


def uniform() -> Preset:
    """Anchor Box Optimization's `uniform` start: five hand-made shapes, a poor but spread guess."""
    cells = ((3, 3), (3, 9), (9, 9), (9, 3), (6, 6))
    return _cells("uniform", "Zhong et al., arXiv:1812.00469, section 4", cells)


def identical() -> Preset:
    """Anchor Box Optimization's `identical` start: five times the same shape, the worst guess."""
    cells = ((5.0, 5.0),) * 5
    return _cells("identical", "Zhong et al., arXiv:1812.00469, section 4", cells)


_PRESETS: dict[str, Callable[[], Preset]] = {
    make.__name__: make
    for make in (
        retinanet,
        retinanet_torchvision,
        faster_rcnn_c4,
        py_faster_rcnn,
        faster_rcnn_fpn,
        faster_rcnn_fpn_torchvision,
        ssd300,
        ssd300_voc,
        ssd512,
        ssd512_voc,
        ssdlite320,
        yolov2_voc,
        yolov2_coco,
        yolov2_tiny_voc,
        yolov3,
        yolov3_tiny,
        yolov5,
        refinedet,
        text,
        faces,
        pedestrian,
        uniform,
        identical,
    )
}


def preset_names() -> tuple[str, ...]:
    """Names that ``preset`` knows."""
    return tuple(_PRESETS)


def preset(name: str) -> Preset:
    """The published anchors called ``name``; ``preset_names()`` lists them.

    Raises ``ValueError`` that lists the names when there is no such preset.
    """
    make = _PRESETS.get(name.lower().replace("-", "_"))
    if make is None:
        raise ValueError(f"preset {name!r} is unknown; known: {', '.join(_PRESETS)}")
    return make()
