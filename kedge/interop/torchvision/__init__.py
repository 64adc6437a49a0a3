"""Kedge inside torchvision's detectors: ``accelerate``."""

from kedge.interop.torchvision.accelerate import accelerate

__all__ = ["accelerate"]
