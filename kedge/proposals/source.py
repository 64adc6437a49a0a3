"""Source: the contract of proposals without learning."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Found = tuple[NDArray[np.float32], NDArray[np.float32]]


class Source(Protocol):
    """Looks at one image, and at nothing else, and says where objects may be.

    Sources are frozen dataclasses: their ``repr`` says everything that the boxes depend on beside
    the image.
    """

    def boxes(self, image: NDArray[np.uint8]) -> Found:
        """Boxes (n, 4) ``xyxy`` pixels within the image, best first, and scores (n,), for an image
        (H, W, 3) RGB. Scores rank the boxes of one image and mean nothing else."""
        ...
