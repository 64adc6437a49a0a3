"""Videos, streams and cameras: opened, read frame by frame, written. Needs the extra ``video``."""

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kedge.files import replacing

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".flv")
_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi"}
_WAIT = 10.0  # seconds for a stream to answer
_CLOCK = 1000  # ticks a second of what is written


class Frame(NamedTuple):
    """``pixels`` (H, W, 3) uint8 RGB of frame ``number``, from 0, at ``time`` seconds."""

    number: int
    time: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A video file, the address of a stream, or a camera by its number.

    ``live``: it goes on by itself, whether anybody looks or not.
    """

    name: str
    live: bool

    @classmethod
    def of(cls, text: str) -> "Source | None":
        """What a user typed; None where it is no video: an image or a folder."""
        if text.isdigit() and not Path(text).exists():
            return cls(name=text, live=True)
        if "://" in text:
            return cls(name=text, live=not text.startswith("file://"))
        return cls(name=text, live=False) if Path(text).suffix.lower() in SUFFIXES else None

    def frames(self) -> Generator[Frame]:
        """The frames, decoded as they come; what is damaged is passed over.

        Raises ``ValueError`` naming the source where it cannot be opened or has no picture, and
        where it breaks.
        """
        av = pyav()
        name, settings = self._address()
        try:
            with av.open(name, timeout=_WAIT, **settings) as container:
                if not container.streams.video:
                    raise ValueError(f"{self.name}: holds no video")
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                for number, frame in enumerate(container.decode(stream)):
                    yield Frame(number, frame.time or 0.0, frame.to_ndarray(format="rgb24"))
        except (av.FFmpegError, OSError) as error:
            raise ValueError(f"{self.name}: {_said(error)}") from None

    def _address(self) -> tuple[str, dict[str, Any]]:
        """What FFmpeg calls it, and how it is opened."""
        if not self.name.isdigit() or not self.live:
            tcp = {"options": {"rtsp_transport": "tcp"}} if self.name.startswith("rtsp") else {}
            return self.name, tcp
        cameras = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}
        if sys.platform not in cameras:
            raise ValueError(f"camera {self.name}: known on Linux and macOS; give an address")
        form, place = cameras[sys.platform]
        return place.format(self.name), {"format": form}


def pyav() -> Any:
    """PyAV; ``ImportError`` says what to install."""
    try:
        return import_module("av")
    except ModuleNotFoundError as error:
        raise ImportError("videos need PyAV: pip install 'kedge[video]'") from error


def _said(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return f"cannot be read ({said})"


class Writer:
    """A video that grows by pictures (H, W, 3); all of the size of the first, sides made even."""

    def __init__(self, container: Any) -> None:
        self._container, self._stream = container, None
        self._start, self._last = 0.0, -1

    def add(self, pixels: NDArray[np.uint8], time: float) -> None:
        """The next picture, shown from ``time`` seconds on."""
        if self._stream is None:
            self._start = time
            self._stream = self._open(pixels)
        frame = pyav().VideoFrame.from_ndarray(self._even(pixels), format="rgb24")
        self._last = max(self._last + 1, round((time - self._start) * _CLOCK))
        frame.pts, frame.time_base = self._last, Fraction(1, _CLOCK)
        self._container.mux(self._stream.encode(frame))

    def _open(self, pixels: NDArray[np.uint8]) -> Any:
        stream = self._container.add_stream("libx264", rate=_CLOCK)
        stream.height, stream.width = self._even(pixels).shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _CLOCK)
        return stream

    @staticmethod
    def _even(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = (side - side % 2 for side in pixels.shape[:2])
        return np.ascontiguousarray(pixels[:height, :width])

    def finish(self) -> None:
        """Writes what the encoder still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """A video file, which takes its place when the block is over, also where it ends early.

    Raises ``ValueError`` for a suffix that is no video's.
    """
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise ValueError(f"--save {path}: a video ends in {', '.join(_FORMATS)}")
    with replacing(path) as part, pyav().open(str(part), "w", format=form) as container:
        writer = Writer(container)
        yield writer
        writer.finish()
