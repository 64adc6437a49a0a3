"""Anchor shapes from data: ``fit`` for arrays, ``design_command`` for whole data sets."""

from kedge.design.choose_k import Curve, k_curve
from kedge.design.command import design_command
from kedge.design.compare import Verdict, fold_images, judge, split_images
from kedge.design.fit import OBJECTIVES, fit
from kedge.design.fit_pyramid import RETINANET_STRIDES, fit_pyramid
from kedge.design.frameworks import FRAMEWORKS
from kedge.design.judging import Candidate, Trial
from kedge.design.levels import assign_levels
from kedge.design.measure import Metrics, measure
from kedge.design.network import (
    Letterbox,
    Recipe,
    ShorterSide,
    Stretch,
    as_seen,
    letterbox,
)
from kedge.design.objectives import BPR, MeanIoU, Objective, RatioFitness, Recall
from kedge.design.placed import Floor, Placed, floors
from kedge.design.points import Points
from kedge.design.pyramid import Pyramid, pyramid
from kedge.design.report import DesignReport
from kedge.design.result import Design
from kedge.design.saved import SavedDesign, load_design
from kedge.design.search import METHODS
from kedge.design.settings import DesignSettings
from kedge.design.source import read_boxes
from kedge.design.statistics import Counted, count_shards, design_statistics
from kedge.design.streaming import sketch_of_table
from kedge.design.table import BoxTable, read_table, table_from_records

__all__ = [
    "BPR",
    "FRAMEWORKS",
    "METHODS",
    "OBJECTIVES",
    "RETINANET_STRIDES",
    "BoxTable",
    "Candidate",
    "Counted",
    "Curve",
    "Design",
    "DesignReport",
    "DesignSettings",
    "Floor",
    "Letterbox",
    "MeanIoU",
    "Metrics",
    "Objective",
    "Placed",
    "Points",
    "Pyramid",
    "RatioFitness",
    "Recall",
    "Recipe",
    "SavedDesign",
    "ShorterSide",
    "Stretch",
    "Trial",
    "Verdict",
    "as_seen",
    "assign_levels",
    "count_shards",
    "design_command",
    "design_statistics",
    "fit",
    "fit_pyramid",
    "floors",
    "fold_images",
    "judge",
    "k_curve",
    "letterbox",
    "load_design",
    "measure",
    "pyramid",
    "read_boxes",
    "read_table",
    "sketch_of_table",
    "split_images",
    "table_from_records",
]
