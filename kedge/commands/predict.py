"""``kedge predict``"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from kedge.counted import count


def predict(
    run: Path,
    source: Annotated[str, Parameter(name=["--source", "--images"])],
    *,
    save: Path | None = None,
    json: Annotated[Path | None, Parameter(name="--json", allow_leading_hyphen=True)] = None,
    min_score: float = 0.3,
    show: Literal["fps"] | None = None,
    reconnect: bool = False,
) -> None:
    """Detect objects in an image, a folder, a video or a camera.

    kedge predict runs/a photo.jpg --save out.jpg --json out.json

    kedge predict a.onnx rtsp://camera/street --save out.mp4 --show fps

    Parameters
    ----------
    run
        Folder of a run, a weights file, or a file of `kedge export`.
    source
        An image, a folder of images, a video, the address of a stream (rtsp://...), or the number
        of a camera (0). Of a video every frame is looked at, of what is live the newest.
    save
        Write the image or the video with its detections drawn; for a folder of images, a folder.
    json
        Write all detections as COCO results; image ids count from 1 in order of file names. Of a
        video: the detections of at least --min-score, a line of JSON a frame; - prints them.
    min_score
        Draw and list detections of at least this score.
    show
        fps: say every second how many frames were seen, the latency from the decoded frame to its
        detections, and how many were dropped.
    reconnect
        Open a live source again where it ends or breaks.
    """
    from kedge.predict.video import Source
    from kedge.train.loading import load_any

    if save is not None and save.resolve() == Path(source).resolve():
        raise ValueError(f"--save {save}: would overwrite the images; choose another place")
    video = Source.of(source)
    if video is None:
        if show is not None or reconnect:
            raise ValueError("--show, --reconnect: are for a video, a stream or a camera")
        _images(load_any(run), Path(source), save, json, min_score)
        return
    if reconnect and not video.live:
        raise ValueError(f"--reconnect: {source} is a file, which ends")
    from kedge.commands.watching import watch_source

    watch_source(
        load_any(run), video, save=save, json=json, min_score=min_score, show=show is not None,
        reconnect=reconnect,
    )  # fmt: skip


def _images(
    detector: Any, images: Path, save: Path | None, json: Path | None, min_score: float
) -> None:
    from rich.console import Console
    from rich.table import Table

    from kedge.data.images import decode
    from kedge.predict.detect import above, detect
    from kedge.predict.image_files import image_files, unlabelled
    from kedge.predict.score import write_detections

    labels = range(detector.num_classes)
    names = detector.class_names or tuple(f"class {label}" for label in labels)
    files = image_files(images)
    source = unlabelled(files, names, detector.category_ids or labels)
    found = detect(detector, source, detector.input_size)
    if json is not None:
        write_detections(json, found, source)
    table = Table("image", "class", "score", "x1", "y1", "x2", "y2")
    for file, record, row in zip(files, source.records, found, strict=True):
        good = above(row, min_score)
        if save is not None:
            from kedge.report import draw_detections, save_image

            target = save / file.name if images.is_dir() else save
            picture = draw_detections(decode(record), good, names=names, min_score=0)
            save_image(picture, target)
        for box, label, score in zip(good["boxes"], good["labels"], good["scores"], strict=True):
            corners = [f"{side:.1f}" for side in box.tolist()]
            table.add_row(file.name, names[int(label)], f"{float(score):.2f}", *corners)
    console = Console()
    if table.row_count:
        console.print(table)
    best = "" if table.row_count else f"; {_best(files, found, names)}"
    said = f"{count(table.row_count, 'detection')} of at least {min_score} in "
    said += f"{count(len(files), 'image')}{best}"
    console.print(said, highlight=False, markup=False, soft_wrap=True)


def _best(files: Sequence[Path], found: Sequence[dict[str, Any]], classes: Sequence[str]) -> str:
    """The detection that comes nearest, in words."""
    best = [
        (float(row["scores"][0]), int(row["labels"][0]), file.name)
        for file, row in zip(files, found, strict=True)
        if len(row["scores"])
    ]
    if not best:
        return "the detector finds nothing at any score"
    score, label, name = max(best)
    return f"the best score is {score:.2g} ({classes[label]} in {name}); --min-score sets the limit"
