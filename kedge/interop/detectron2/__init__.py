"""Kedge inside Detectron2's RetinaNet and RPN: ``accelerate``, ``learn_anchors``, ``explain``.

Detectron2 is called where the user brings it, never imported here.
"""

from kedge.interop.detectron2.accelerate import accelerate
from kedge.interop.detectron2.explain import explain
from kedge.interop.detectron2.learn import learn_anchors

__all__ = ["accelerate", "explain", "learn_anchors"]
