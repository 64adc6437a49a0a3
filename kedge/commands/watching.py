"""``kedge predict`` on a video, a stream or a camera."""

import json as text
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from kedge.commands.words import say
from kedge.counted import count
from kedge.files import replacing
from kedge.predict.reader import Reader
from kedge.predict.stream import Meter, Seen, watch
from kedge.predict.video import Source, pyav, writing
from kedge.report import draw_detections


def watch_source(
    detector: Any,
    source: Source,
    *,
    save: Path | None,
    json: Path | None,
    min_score: float,
    show: bool,
    reconnect: bool,
) -> None:
    """Detects in every frame; draws into ``save``, writes a line a frame to ``json``, and with
    ``show`` says a line a second. Ctrl-C ends a live source, too."""
    pyav()
    names = detector.class_names or [f"class {i}" for i in range(detector.num_classes)]
    ids = detector.category_ids or range(detector.num_classes)
    reader = Reader(source, reconnect=reconnect)
    meter, found = Meter(tell=lambda line: say([line]) if show else None), 0
    with ExitStack() as stack:
        video = None if save is None else stack.enter_context(writing(save))
        line = None if json is None else stack.enter_context(_lines(json))
        try:
            for seen in watch(detector, reader, min_score=min_score):
                found += len(seen.found)
                if line is not None:
                    line(_row(seen, names, ids))
                if video is not None:
                    rows = {key: getattr(seen.found, key) for key in ("boxes", "labels", "scores")}
                    drawn = draw_detections(seen.frame.pixels, rows, names=names, min_score=0)
                    video.add(np.asarray(drawn.convert("RGB")), seen.frame.time)
                meter.add(seen.latency, reader.dropped)
        except KeyboardInterrupt:
            reader.close()
    if reader.problem is not None:
        say([f"ended: {reader.problem}"])
    said = f"{count(found, 'detection')} of at least {min_score} in {count(meter.frames, 'frame')}"
    said += f", {meter.rate:.1f} fps"
    out = sys.stderr if json == Path("-") else sys.stdout
    print(said + (f", {reader.dropped} dropped" if source.live else ""), file=out)


def _row(seen: Seen, names: Any, ids: Any) -> dict[str, Any]:
    """A frame as JSON: boxes as COCO has them, x, y, width, height in pixels."""
    rows = zip(
        seen.found.boxes.tolist(), seen.found.labels.tolist(), seen.found.scores.tolist(),
        strict=True,
    )  # fmt: skip
    return {
        "frame": seen.frame.number,
        "time": round(seen.frame.time, 3),
        "latency": round(seen.latency, 4),
        "detections": [
            {
                "category_id": int(ids[label]),
                "class": names[label],
                "score": round(score, 4),
                "bbox": [round(side, 2) for side in (x1, y1, x2 - x1, y2 - y1)],
            }
            for (x1, y1, x2, y2), label, score in rows
        ],
    }


@contextmanager
def _lines(path: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """JSON lines to a file, which takes its place at the end, or to the output for "-"."""
    if path == Path("-"):
        yield lambda row: print(text.dumps(row), flush=True)
        return
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        yield lambda row: print(text.dumps(row), file=file)
