"""Kedge inside Ultralytics' YOLO: ``accelerate``, ``callbacks`` and ``explain``.

Ultralytics is AGPL-3.0: it is called where the user brings it, never imported here.
"""

from kedge.interop.ultralytics.accelerate import accelerate, callbacks
from kedge.interop.ultralytics.explain import explain

__all__ = ["accelerate", "callbacks", "explain"]
