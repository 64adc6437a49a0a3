"""Kedge inside MMDetection: assigners for its configurations, ``accelerate``, ``learn_anchors`` and
``explain``. Needs ``mmdet``.

In a configuration: ``custom_imports = dict(imports=['kedge.interop.mmdetection'])``, then
``assigner=dict(type='kedge.MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4)`` or
``assigner=dict(type='kedge.Assigner', strategy='simota:k=10')``.
"""

from kedge.interop.mmdetection.accelerate import accelerate
from kedge.interop.mmdetection.explain import explain
from kedge.interop.mmdetection.learn import learn_anchors
from kedge.interop.mmdetection.types import ATSSAssigner, MaxIoUAssigner, StrategyAssigner

__all__ = [
    "ATSSAssigner",
    "MaxIoUAssigner",
    "StrategyAssigner",
    "accelerate",
    "explain",
    "learn_anchors",
]
