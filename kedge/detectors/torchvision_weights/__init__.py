"""Detectors from torchvision's models and state dicts, and back: a table of names each."""
