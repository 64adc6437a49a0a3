"""Kedge inside Detectron2's RetinaNet and region proposal network: ``accelerate``, ``explain``.

Detectron2 is called where the user brings it, never imported here.
"""

from kedge.interop.detectron2.accelerate import accelerate
from kedge.interop.detectron2.explain import explain

__all__ = ["accelerate", "explain"]
