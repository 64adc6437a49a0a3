"""What a run works on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kedge.data import Data, DetectionDataset
from kedge.train.fingerprint import Fingerprint


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What a run works on: data and its fingerprint, the split to score on, and box sizes (n, 2) as
    the network sees them."""

    data: Data
    fingerprint: Fingerprint
    dataset: DetectionDataset
    scored: Data | None
    seen: NDArray[np.floating]
