"""WIDER FACE: wider_face_train_bbx_gt.txt, one list for all images of a split."""

from pathlib import Path

from kedge.counted import count
from kedge.data.problems import Problems
from kedge.data.raw import Ask
from kedge.data.readers.named import NamedBox, NamedImage, finish_named, numbers_of
from kedge.data.records import Data
from kedge.parse import read_lines, whole

LOOKED_FOR = "WIDER FACE: wider_face_*_bbx_gt.txt (in wider_face_split/), with WIDER_*/images/"
_ENDING = "_bbx_gt.txt"


def find(path: Path) -> dict[str, Path]:
    """The lists of a folder by split, or a single list as {"": file}."""
    if not path.is_dir():
        return {"": path} if path.name.endswith(_ENDING) else {}
    files = [p for at in (path, path / "wider_face_split") for p in sorted(at.glob(f"*{_ENDING}"))]
    return {p.name.removesuffix(_ENDING).rsplit("_", 1)[-1]: p for p in files}


def read(file: Path, ask: Ask) -> Data:
    """Read a list: the image, the number of faces, then a row a face: left, top, width, height,
    blur, expression, illumination, invalid, ... Invalid faces become crowds; an image without
    faces has the number 0 and one row of zeros."""
    problems = Problems(file, ask.on_bad_box)
    lines = [(n, line.strip()) for n, line in enumerate(read_lines(file), start=1) if line.strip()]
    images, at, ignored = [], 0, 0
    while at < len(lines):
        number, name = lines[at]
        faces = whole(lines[at + 1][1]) if at + 1 < len(lines) else None
        if faces is None or faces < 0:
            raise ValueError(f"{file}: line {number}: {name!r:.80} is not followed by a count")
        rows = lines[at + 2 : at + 2 + max(faces, 1)]
        if faces == 0 and rows and (values := numbers_of(rows[0][1].split(), 10)):
            rows = rows[:1] if not any(values) else []
        elif faces == 0:
            rows = []
        if len(rows) < faces:
            raise ValueError(
                f"{file}: line {number}: {count(faces, 'face')} of {name!r:.80}, "
                f"{count(len(rows), 'row')}"
            )
        image = NamedImage(name, f"line {number}")
        for row, text in rows[:faces]:
            words = text.split()
            values, where = numbers_of(words[:8], 8), f"line {row}"
            if len(words) < 8:  # the next image, or half a file: nothing after it can be trusted
                raise ValueError(f"{file}: {where}: is no row of a face; {name!r:.80} has {faces}")
            if values is None:
                problems.add("no box", name, where, "expected left, top, width, height and more")
                continue
            x, y, w, h = values[:4]
            ignored += values[7] == 1
            image.boxes.append(NamedBox((x, y, x + w, y + h), "face", where, values[7] == 1))
        images.append(image)
        at += 2 + len(rows)
    if ignored:
        message = "invalid faces: crowd regions, neither object nor background"
        problems.note("ignored annotation", "", "", message, count=ignored)
    split = file.name.removesuffix(_ENDING).rsplit("_", 1)[-1]
    places = [ask.root / f"WIDER_{split}" / "images", ask.root / "images", ask.root]
    return finish_named(images, places, problems, ask, format="WIDER FACE", classes=["face"])
