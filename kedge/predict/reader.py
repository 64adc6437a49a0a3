"""Frames decoded in a thread of their own: every one of a file, the newest of what is live."""

import time
from collections.abc import Iterator
from contextlib import closing
from threading import Condition, Event, Thread
from typing import NamedTuple

from kedge.predict.video import Frame, Source


class Arrived(NamedTuple):
    """A frame and when it was decoded, or of a file when its turn came, on the clock of
    ``time.monotonic``."""

    frame: Frame
    at: float


class Reader:
    """Iterates over a source; holds one frame at a time, whatever the source does.

    Of a file every frame comes, and the decoder waits. Of a live source the newest comes, and
    ``dropped`` counts those that nobody was there for. Where the source ends or breaks, iteration
    ends, and ``problem`` says what happened; with ``reconnect`` it is opened again, ``pause``
    seconds later, as often as it takes. Numbers and times of the frames then go on from those of
    the connection before: the first is one frame later than its last.
    """

    def __init__(self, source: Source, *, reconnect: bool = False, pause: float = 1.0) -> None:
        self.source, self.reconnect, self.pause = source, reconnect, pause
        self.dropped, self.connections = 0, 0
        self.problem: str | None = None
        self._line = _Timeline()
        self._held: Arrived | None = None
        self._over = False
        self._error: Exception | None = None
        self._changed, self._stop = Condition(), Event()
        self._thread = Thread(target=self._decode, name="kedge-decode", daemon=True)

    def __iter__(self) -> Iterator[Arrived]:
        self._thread.start()
        try:
            while (arrived := self._take()) is not None:
                yield arrived
        finally:
            self.close()

    def close(self) -> None:
        """Ends the thread; a decoder that waits for its stream ends within seconds."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def _take(self) -> Arrived | None:
        with self._changed:
            self._changed.wait_for(lambda: self._held is not None or self._over)
            arrived, self._held = self._held, None
            self._changed.notify_all()
        if arrived is None and self._error is not None:
            raise self._error
        if arrived is not None and not self.source.live:
            return arrived._replace(at=time.monotonic())
        return arrived

    def _put(self, frame: Frame) -> None:
        with self._changed:
            if not self.source.live:
                self._changed.wait_for(lambda: self._held is None or self._stop.is_set())
            elif self._held is not None:
                self.dropped += 1
            self._held = Arrived(frame, time.monotonic())
            self._changed.notify_all()

    def _decode(self) -> None:
        try:
            self._once()
            while self.reconnect and self.source.live and not self._stop.wait(self.pause):
                self._once()
        except Exception as error:  # a mistake of ours is told by who iterates
            self._error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _once(self) -> None:
        """Reads the source until it ends, breaks, or nobody wants it any more."""
        try:
            with closing(self.source.frames()) as frames:
                for number, frame in enumerate(frames):
                    if self._stop.is_set():
                        return
                    if number == 0:
                        self.connections += 1
                        self.problem = None
                        self._line.go_on(frame)
                    self._put(self._line.place(frame))
        except (ValueError, ImportError) as error:
            self.problem = str(error)


class _Timeline:
    """Numbers and times of frames over several connections, each of which begins at its own."""

    def __init__(self) -> None:
        self._next, self._time, self._step = 0, 0.0, 0.0
        self._more, self._later = 0, 0.0

    def go_on(self, first: Frame) -> None:
        """A connection begins with ``first``."""
        if self._next:
            self._more = self._next - first.number
            self._later = self._time + self._step - first.time

    def place(self, frame: Frame) -> Frame:
        """The frame with its number and time since the first connection."""
        placed = frame._replace(number=frame.number + self._more, time=frame.time + self._later)
        self._step = max(0.0, placed.time - self._time) if self._next else 0.0
        self._next, self._time = placed.number + 1, placed.time
        return placed
