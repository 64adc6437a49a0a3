"""A detector on a stream of frames: what it finds in each, and how it keeps up."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from kedge.detectors.detector import Detector
from kedge.detectors.predict import detect_in
from kedge.export.opened import Exported
from kedge.predict.detect import pick_device, ready
from kedge.predict.reader import Reader
from kedge.predict.video import Frame
from kedge.types import Detections


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A frame, the detections in its pixels, and the ``latency`` in seconds from the decoded frame
    to them; of a file the wait for its turn is not counted."""

    frame: Frame
    found: Detections
    latency: float


class Meter:
    """How a stream is kept up with: every second of ``clock`` a line to ``tell``."""

    def __init__(
        self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.frames = 0
        self._tell, self._clock = tell, clock
        self._start = self._since = clock()
        self._latencies: list[float] = []

    def add(self, latency: float, dropped: int) -> None:
        """One more frame; ``dropped`` so far."""
        self.frames += 1
        self._latencies.append(latency)
        passed = self._clock() - self._since
        if passed >= 1:
            count = len(self._latencies)
            self._tell(
                f"{count / passed:.1f} fps, latency {1000 * sum(self._latencies) / count:.0f} ms "
                f"(at most {1000 * max(self._latencies):.0f}), {dropped} dropped"
            )
            self._since, self._latencies = self._clock(), []

    @property
    def rate(self) -> float:
        """Frames a second since the start."""
        return self.frames / max(self._clock() - self._start, 1e-9)


def watch(
    detector: Detector | Exported,
    reader: Reader,
    *,
    min_score: float,
    device: torch.device | None = None,
) -> Iterator[Seen]:
    """What a detector finds in the frames of a reader, one after the other.

    Raises ``ValueError`` where the source never gave a frame; one that ends or breaks later ends
    the iteration, and ``reader.problem`` says why.
    """
    with ready(detector, device or pick_device()) as place:
        for frame, at in reader:
            found, _ = detect_in(
                detector, frame.pixels, input_size=detector.input_size, device=place,
                min_score=min_score,
            )  # fmt: skip
            yield Seen(frame=frame, found=found, latency=time.monotonic() - at)
    if reader.connections == 0:
        raise ValueError(reader.problem or f"{reader.source.name}: holds no frame")
