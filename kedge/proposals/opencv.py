"""Selective search and EdgeBoxes, from OpenCV's contrib modules."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kedge.proposals.source import Found


def _contrib(what: str) -> Any:
    """OpenCV with its ximgproc; ``ImportError`` says what to install."""
    try:
        cv2: Any = import_module("cv2")
    except ModuleNotFoundError as error:
        raise ImportError(f"{what} needs OpenCV: pip install 'kedge[proposals]'") from error
    if not hasattr(cv2, "ximgproc"):
        raise ImportError(
            f"{what} needs OpenCV with its contrib modules, and this one has none: pip uninstall "
            "opencv-python opencv-python-headless, then pip install 'kedge[proposals]'"
        )
    return cv2


def _ranked(corners_and_sizes: Any, scores: NDArray[np.float32], most: int) -> Found:
    """``xyxy`` boxes of rows x, y, w, h that have an area, best first."""
    rows = np.asarray(corners_and_sizes, np.float32).reshape(-1, 4)[:most]
    good = (rows[:, 2:] > 0).all(1)
    boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], 1)
    return boxes[good], scores[: len(rows)][good]


@dataclass(frozen=True, kw_only=True)
class SelectiveSearch:
    """Selective search: regions that look alike, merged step by step; at most ``most`` boxes.

    ``mode`` "fast" or "quality", which has more colour spaces and finds more boxes in more time.
    Boxes are ranked by when they were merged, the last first, with some chance as in the paper;
    the chance is OpenCV's own, which nothing can seed.

    Raises ``ImportError`` without OpenCV's contrib modules, ``ValueError`` for another mode.

    Source: Uijlings et al., IJCV 2013; OpenCV ``ximgproc.segmentation``.
    """

    mode: Literal["fast", "quality"] = "fast"
    most: int = 2000

    def __post_init__(self) -> None:
        if self.mode not in ("fast", "quality") or self.most < 1:
            raise ValueError(f"{self}: mode is 'fast' or 'quality', most at least 1")

    def boxes(self, image: NDArray[np.uint8]) -> Found:
        """See ``Source``."""
        cv2 = _contrib("selective search")
        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(np.ascontiguousarray(image[..., ::-1]))  # OpenCV reads BGR
        if self.mode == "fast":
            search.switchToSelectiveSearchFast()
        else:
            search.switchToSelectiveSearchQuality()
        rows = search.process()
        return _ranked(rows, np.linspace(1, 0, len(rows), dtype=np.float32), self.most)


@dataclass(frozen=True, kw_only=True)
class EdgeBoxes:
    """EdgeBoxes: boxes that hold whole contours; at most ``most``. ``alpha`` is the step of the
    search, ``beta`` its suppression.

    Raises ``ImportError`` without OpenCV's contrib modules, ``ValueError`` for settings out of
    range.

    Source: Zitnick and Dollar, ECCV 2014; OpenCV ``ximgproc``. Deviation: edges are Sobel's, whose
    structured forest would have to be downloaded, and are not thinned.
    """

    most: int = 1000
    alpha: float = 0.65
    beta: float = 0.75

    def __post_init__(self) -> None:
        if self.most < 1 or not (0 < self.alpha < 1 and 0 < self.beta < 1):
            raise ValueError(f"{self}: most must be at least 1, alpha and beta within (0, 1)")

    def boxes(self, image: NDArray[np.uint8]) -> Found:
        """See ``Source``."""
        cv2 = _contrib("EdgeBoxes")
        grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.float32)
        dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
        edges = np.hypot(dx, dy)
        if edges.max() == 0:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        search = cv2.ximgproc.createEdgeBoxes(maxBoxes=self.most, alpha=self.alpha, beta=self.beta)
        along = np.mod(np.arctan2(dy, dx), np.pi).astype(np.float32)
        rows, scores = search.getBoundingBoxes(edges / edges.max(), along)
        return _ranked(rows, np.asarray(scores, np.float32).ravel(), self.most)
