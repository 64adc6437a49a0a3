"""Checks of anchors against a data set: what a training would see, without training."""
