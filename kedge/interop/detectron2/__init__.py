"""Kedge inside Detectron2: ``accelerate`` for RetinaNet and the region proposal network.

Detectron2 is called where the user brings it, never imported here.
"""

from kedge.interop.detectron2.accelerate import accelerate

__all__ = ["accelerate"]
