"""Proposals: what a source finds in the images of data sets, each looked at once."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kedge.data import Record
from kedge.data.images import decode
from kedge.files import replacing
from kedge.parse.npz_file import read_npz
from kedge.proposals.source import Found, Source

SAVE_EVERY = 200  # images
Known = dict[tuple[str, str], tuple[tuple[int, int], Found]]  # source, image: size, what was found
_ARRAYS = ("source", "image", "size", "count", "boxes", "scores")


class Proposals:
    """The boxes of ``source`` for records, in pixels of their original images.

    An image is known by the SHA-256 of its file, or of its pixels where it is drawn, so that boxes
    are never taken for those of an image that has changed. With ``file``, an npz, they are read
    from there, and what is missing is found and written there, atomically.

    The file holds, for every image and source, ``source`` (its settings as text), ``image`` (the
    digest), ``size`` (height, width) and ``count``; and ``boxes`` (all, 4) and ``scores`` (all,),
    one after another. Several sources and data sets may share it.

    Raises ``ValueError`` naming a file that is none of these, or whose boxes do not lie in their
    images.
    """

    def __init__(self, source: Source, file: Path | None = None) -> None:
        self.source, self.file = source, file
        self._found: Known = {}
        if file is not None and file.exists():
            self._found = _read(file)

    def __call__(
        self, records: Sequence[Record], progress: Callable[[int], None] | None = None
    ) -> list[Found]:
        """Boxes (n, 4) and scores (n,) of every record, best first. ``progress`` is told how many
        images are done after each that was not known."""
        out, new = [], 0
        for number, record in enumerate(records, start=1):
            key, size = (repr(self.source), _digest(record)), (record.height, record.width)
            known = self._found.get(key)
            if known is None or known[0] != size:
                known = self._found[key] = (size, self.source.boxes(decode(record)))
                new += 1
                if new % SAVE_EVERY == 0:
                    self._save()
                if progress is not None:
                    progress(number)
            out.append(known[1])
        if new % SAVE_EVERY:
            self._save()
        return out

    def _save(self) -> None:
        if self.file is None:
            return
        sizes, found = zip(*self._found.values())
        arrays = {
            "source": np.array([source for source, _ in self._found]),
            "image": np.array([image for _, image in self._found]),
            "size": np.array(sizes, np.int64),
            "count": np.array([len(boxes) for boxes, _ in found], np.int64),
            "boxes": np.concatenate([boxes for boxes, _ in found]),
            "scores": np.concatenate([scores for _, scores in found]),
        }
        with replacing(self.file) as part, part.open("wb") as stream:
            np.savez(stream, **arrays)


def _digest(record: Record) -> str:
    """What tells an image from any other: 64 hexadecimal digits."""
    if record.file is None:
        return hashlib.sha256(decode(record).tobytes()).hexdigest()
    with record.file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    digest.update(repr((record.upright, record.black_white)).encode())  # how the file is shown
    return digest.hexdigest()


def _read(file: Path) -> Known:
    arrays = read_npz(file, _ARRAYS)
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise ValueError(f"{file}: no file of kedge proposals: it lacks {', '.join(missing)}")
    source, image, size, count, boxes, scores = (arrays[name] for name in _ARRAYS)
    n, total = image.size, int(count.sum())
    shapes = [arrays[name].shape for name in _ARRAYS]
    if shapes != [(n,), (n,), (n, 2), (n,), (total, 4), (total,)] or (count < 0).any():
        raise ValueError(f"{file}: its arrays do not agree: they have the shapes {shapes}")
    limit = np.repeat(size[:, ::-1], count, axis=0)
    inside = (boxes[:, :2] >= 0) & (boxes[:, 2:] <= limit + 1e-3) & (boxes[:, :2] < boxes[:, 2:])
    if not inside.all():
        row = int(np.argmin(inside.all(1)))
        raise ValueError(f"{file}: box {row} is empty or outside of its image: {boxes[row]}")
    ends = count.cumsum()[:-1]
    parts = zip(source, image, size, np.split(boxes, ends), np.split(scores, ends))
    return {(str(s), str(key)): ((int(h), int(w)), (b, v)) for s, key, (h, w), b, v in parts}
