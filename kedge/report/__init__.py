"""Figures and self-contained HTML reports. Needs the extra ``report`` (plotly, jinja2, Pillow)."""

from kedge.report.blocks import (
    Block,
    Code,
    Figure,
    Finding,
    Grid,
    Image,
    Numbers,
    Section,
    Table,
    Text,
)
from kedge.report.draw import (
    draw_answers,
    draw_assignment,
    draw_boxes,
    draw_detections,
)
from kedge.report.heat import draw_heat
from kedge.report.page import write_report
from kedge.report.selection import draw_strategies
from kedge.report.strokes import save_image, to_image

__all__ = [
    "Block",
    "Code",
    "Figure",
    "Finding",
    "Grid",
    "Image",
    "Numbers",
    "Section",
    "Table",
    "Text",
    "draw_answers",
    "draw_assignment",
    "draw_boxes",
    "draw_detections",
    "draw_heat",
    "draw_strategies",
    "save_image",
    "to_image",
    "write_report",
]
