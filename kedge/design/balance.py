"""Balance: what counts the same where shapes are chosen, every object or every class."""

from typing import Any, Literal

import numpy as np

Balance = Literal["objects", "classes"]


def class_weights(label: Any) -> np.ndarray:
    """(n,) float32: what each object of class ``label`` (n,) weighs where every class that is there
    weighs the same; 1 in the mean.

    A mean AP weighs its classes like that. Shapes for the objects as they come are shapes for the
    most frequent class: of blood cells 85 % are red, and of 25 shapes three are left for platelets,
    whose anchors are then one in forty positives.
    """
    _, place, number = np.unique(np.asarray(label), return_inverse=True, return_counts=True)
    share = len(place) / (max(len(number), 1) * np.maximum(number, 1))
    return share[place].astype(np.float32)


def balanced(label: Any, balance: Balance) -> np.ndarray | None:
    """The weights of objects of class ``label`` (n,); None where every object counts the same."""
    return class_weights(label) if balance == "classes" else None
