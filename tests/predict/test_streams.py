"""Videos and live sources: read in a thread, detected frame by frame, written again."""

import json
import threading
import time

import numpy as np
import pytest
import torch

from kedge.cli import run
from kedge.predict import video as videos
from kedge.predict.reader import Reader
from kedge.predict.stream import Meter, watch
from kedge.predict.video import Frame, Source, writing

av = pytest.importorskip("av")
SIZE = (48, 64)


def picture(number: int) -> np.ndarray:
    """A grey frame whose brightness is its number."""
    return np.full((*SIZE, 3), 10 * number % 250, np.uint8)


@pytest.fixture
def clip(tmp_path):
    """A video of twelve frames, ten a second."""
    path = tmp_path / "clip.mp4"
    with writing(path) as out:
        for number in range(12):
            out.add(picture(number), number / 10)
    return path


class Bright:
    """A detector of one class that reports the mean of the image as a score."""

    class_names, category_ids, num_classes, input_size = ("light",), (7,), 1, None

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, images):
        self.seen.append(round(float(images[0].mean()) * 25.5))
        return [{
            "boxes": torch.tensor([[1.0, 2.0, 11.0, 22.0]]), "labels": torch.tensor([0]),
            "scores": torch.tensor([0.9]),
        }]  # fmt: skip


@pytest.fixture
def bright(monkeypatch):
    """It in place of any run; it is neither a module nor a file."""
    from contextlib import nullcontext

    detector = Bright()
    monkeypatch.setattr("kedge.train.loading.load_any", lambda path: detector)
    monkeypatch.setattr(
        "kedge.predict.stream.ready", lambda one, device: nullcontext(torch.device("cpu"))
    )
    return detector


class Live:
    """A source that gives ``lengths`` frames at each connection, one a ``pace`` seconds, and breaks
    where ``breaks`` says so."""

    live, name = True, "rtsp://test"

    def __init__(self, *lengths, pace=0.0, breaks=()):
        self.lengths, self.pace, self.breaks, self.opened = lengths, pace, breaks, 0

    def frames(self):
        self.opened += 1
        at = self.opened - 1
        for number in range(self.lengths[at] if at < len(self.lengths) else 0):
            time.sleep(self.pace)
            yield Frame(number, float(number), picture(number))
        if at in self.breaks:
            raise ValueError(f"{self.name}: cannot be read (Connection reset by peer)")


def test_what_is_written_is_what_is_read(clip):
    frames = list(Source.of(str(clip)).frames())
    assert [round(frame.pixels.mean() / 10) for frame in frames] == list(range(12))
    assert [round(frame.time, 2) for frame in frames] == [number / 10 for number in range(12)]
    assert frames[0].pixels.shape == (*SIZE, 3)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a/clip.MP4", (False, True)),
        ("rtsp://user@camera/1", (True, True)),
        ("0", (True, True)),
        ("photo.jpg", (None, False)),
        ("folder", (None, False)),
    ],
)
def test_a_source_is_told_by_its_name(text, found):
    source = Source.of(text)
    assert (source.live if source else None, source is not None) == found


def test_every_frame_of_a_file_is_seen_however_slow_the_detector(clip, bright):
    reader = Reader(Source.of(str(clip)))
    for seen in watch(bright, reader, min_score=0.3):
        time.sleep(0.005)
        assert seen.latency >= 0
    assert bright.seen == list(range(12))
    assert (reader.dropped, reader.problem) == (0, None)


def test_of_a_live_source_the_newest_frame_is_taken(bright):
    reader, numbers = Reader(Live(200, pace=0.001)), []
    for seen in watch(bright, reader, min_score=0.3):
        numbers.append(seen.frame.number)
        time.sleep(0.02)
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 199
    assert reader.dropped == 200 - len(numbers) > 0


def test_a_live_source_that_breaks_ends_cleanly_and_says_why(bright):
    reader = Reader(Live(5, breaks=(0,)))
    assert len(list(watch(bright, reader, min_score=0.3))) >= 1
    assert "Connection reset" in reader.problem
    assert not reader._thread.is_alive()


def test_it_is_opened_again_on_demand(bright):
    source = Live(3, 0, 3, breaks=(0, 1))
    reader = Reader(source, reconnect=True, pause=0.01)
    for _ in watch(bright, reader, min_score=0.3):
        if reader.connections == 2:
            break
    assert source.opened >= 3


@pytest.mark.parametrize("start", [0.0, 700.0])  # a camera may count from when it was switched on
def test_times_go_on_after_a_reconnection(start, tmp_path):
    class Camera(Live):
        def frames(self):
            for frame in super().frames():
                yield frame._replace(time=start + frame.time / 4)

    path, frames = tmp_path / "out.mp4", []
    with writing(path) as out:
        reader = Reader(Camera(4, 0, 3, 1, pace=0.05, breaks=(0, 2)), reconnect=True, pause=0.01)
        for frame, _ in reader:
            frames.append((frame.number, frame.time))
            out.add(frame.pixels, frame.time)
            if len(frames) == 8:
                break
    assert frames == [(number, start + number / 4) for number in range(8)]
    times = [round(frame.time, 2) for frame in Source.of(str(path)).frames()]
    assert times == [number / 4 for number in range(8)]


def test_leaving_early_ends_the_thread(clip, bright):
    before = threading.active_count()
    for _ in watch(bright, Reader(Source.of(str(clip))), min_score=0.3):
        break
    for _ in range(100):
        if threading.active_count() == before:
            return
        time.sleep(0.02)
    raise AssertionError("the decoding thread goes on")


def test_a_source_without_a_frame_is_an_error_that_names_it(tmp_path, bright):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"broken.mp4: cannot be read"):
        list(watch(bright, Reader(Source.of(str(broken))), min_score=0.3))


def test_a_line_a_second():
    now, lines = [0.0], []
    meter = Meter(tell=lines.append, clock=lambda: now[0])
    for _ in range(25):
        now[0] += 0.125
        meter.add(0.03, dropped=4)
    assert lines == ["8.0 fps, latency 30 ms (at most 30), 4 dropped"] * 3
    assert meter.rate == pytest.approx(8)


def test_predict_on_a_video(clip, tmp_path, bright, capsys):
    drawn, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    words = ["predict", "run", str(clip), "--save", str(drawn), "--json", str(lines)]
    assert run([*words, "--show", "fps"]) == 0
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["frame"] for row in rows] == list(range(12))
    assert rows[3]["time"] == pytest.approx(0.3)
    assert rows[0]["detections"] == [
        {"category_id": 7, "class": "light", "score": 0.9, "bbox": [1.0, 2.0, 10.0, 20.0]}
    ]
    assert len(list(Source.of(str(drawn)).frames())) == 12
    assert "12 detections of at least 0.3 in 12 frames" in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["clip.mp4", "--save", "out.gif"], "--save out.gif: a video ends in .mp4"),
        (["clip.mp4", "--reconnect"], "clip.mp4 is a file, which ends"),
        (["photo.jpg", "--show", "fps"], "are for a video"),
        (["no/clip.mp4"], "no/clip.mp4: cannot be read (No such file or directory)"),
    ],
)
def test_mistakes_are_named(words, message, bright, capsys):
    assert run(["predict", "run", *words]) == 2
    assert message in capsys.readouterr().err


def test_without_pyav_one_line_says_what_to_install(bright, monkeypatch, capsys):
    def missing(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(videos, "import_module", missing)
    assert run(["predict", "run", "clip.mp4"]) == 2
    assert "pip install 'kedge[video]'" in capsys.readouterr().err
