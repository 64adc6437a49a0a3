"""Kedge inside torchvision's detectors: ``accelerate``, ``learn_anchors`` and ``explain``."""

from kedge.interop.learned import LearnedAnchors
from kedge.interop.torchvision.accelerate import accelerate
from kedge.interop.torchvision.explain import explain
from kedge.interop.torchvision.learn import learn_anchors

__all__ = ["LearnedAnchors", "accelerate", "explain", "learn_anchors"]
