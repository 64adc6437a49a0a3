"""What a run works on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kedge.data import Data, DetectionDataset
from kedge.predict.proposals import Given
from kedge.train.fingerprint import Fingerprint


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What a run works on: data and its fingerprint, the split to score on, box sizes (n, 2) as
    the network sees them, and the proposals of the training split where the detector is given
    such."""

    data: Data
    fingerprint: Fingerprint
    dataset: DetectionDataset
    scored: Data | None
    seen: NDArray[np.floating]
    given: Given | None = None
