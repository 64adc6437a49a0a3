"""A package by declaration, so that benchmarks/detectors.py on the path cannot stand for it."""
