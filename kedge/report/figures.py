"""All figures in one place: plain arrays in, plotly figures out."""

from kedge.report.bars import bars
from kedge.report.coverage import best_iou_histogram, coverage_by_group, coverage_by_size
from kedge.report.curves import knee_curve, training_curve
from kedge.report.plane import Density, density, shape_paths, shape_plane
from kedge.report.sweeps import positives_per_object, threshold_map, threshold_sweep

__all__ = [
    "Density",
    "bars",
    "best_iou_histogram",
    "coverage_by_group",
    "coverage_by_size",
    "density",
    "knee_curve",
    "positives_per_object",
    "shape_paths",
    "shape_plane",
    "threshold_map",
    "threshold_sweep",
    "training_curve",
]
