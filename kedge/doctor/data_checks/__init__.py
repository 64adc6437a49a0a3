"""Checks of a data set alone: no anchors, no run."""
