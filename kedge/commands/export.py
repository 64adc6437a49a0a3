"""``kedge export``"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kedge.commands.words import Root, Sides, height_and_width, say
from kedge.counted import count

if TYPE_CHECKING:
    from kedge.data import Data
    from kedge.detectors import Detector
    from kedge.export import Exported


def export(
    run: Path,
    *,
    out: Path,
    to: Literal["onnx", "int8", "openvino", "torch-export"] = "onnx",
    form: Literal["nms", "decoded", "maps"] = "nms",
    image_size: Sides = None,
    data: str | None = None,
    split: str | None = None,
    root: Root = None,
    images: int = 100,
) -> None:
    """Write a run as a file that runs elsewhere: ONNX, int8, OpenVINO, torch.export.

    kedge export runs/a --out a.onnx

    kedge export runs/a --to int8 --out a.onnx

    kedge predict a.onnx photo.jpg

    Parameters
    ----------
    run
        Folder of a run, or a weights file.
    out
        The file: .onnx (also for int8), .xml (OpenVINO, with a .bin beside it), .pt2
        (torch-export). It says of itself its classes, input size and letterbox.
    to
        The format. int8 is ONNX too, with the network quantised and the rest in float.
    form
        nms: detections, best first, padded, with their count. decoded: all boxes and scores.
        maps: what the network says, raw.
    image_size
        Side, or height and width, of the input; by default that of the training. A batch may have
        any number of images.
    data
        Data set whose images are looked at; by default that of the run.
    split
        Split that calibrates int8, or in whose images file and detector are compared; by default
        the training split.
    images
        So many images calibrate int8, spread over the split. The AP before and after is that of the
        test split.
    """
    from kedge.data.sources import read_data
    from kedge.export import export as write
    from kedge.export import open_exported
    from kedge.export.calibration import calibration_images
    from kedge.train.loading import load

    if images < 1:
        raise ValueError(f"--images {images}: must be at least 1")
    detector, size, named = load(run), height_and_width(image_size), data is not None
    data, split, root = _of_run(run, data, split, root)
    size = size or detector.input_size
    seen, batches = None, ()
    try:
        seen = None if data is None else read_data(data, split, root=root)
    except (ValueError, OSError) as error:  # who only exports need not have the data any more
        if named or to == "int8":
            raise
        say([f"not compared with the detector: {error}"])
    if to == "int8":
        if seen is None:
            raise ValueError("export: int8 of a weights file needs --data: images to calibrate it")
        if size is not None:
            batches = calibration_images(seen, size, images)
    write(detector, out, to=to, form=form, image_size=size, calibration=batches)
    print(f"{out}: {_bytes(out) / 1e6:.2f} MB, {to}, {form}, {_sides(size)}")
    if form == "maps" or seen is None or data is None:
        return
    file = open_exported(out)
    if to == "int8":
        _before_and_after(detector, file, data, root)
    else:
        _compare(detector, file, seen)


def _of_run(
    run: Path, data: str | None, split: str | None, root: Path | None
) -> tuple[str | None, str | None, Path | None]:
    """The data set, split and root asked for, by default those that the run was trained on; no data
    set for a weights file's."""
    from kedge.data.sources import training_split
    from kedge.train.config import load_config
    from kedge.train.result import CONFIG

    if data is not None or not run.is_dir():
        return data, split, root
    config = load_config(run / CONFIG)
    trained = training_split(config.data, config.train_split)
    return config.data, split or trained, root or config.root


def _sides(size: tuple[int, int] | None) -> str:
    return "" if size is None else f"{size[0]} x {size[1]} px (height x width)"


def _bytes(path: Path) -> int:
    """Of the file, and of the weights beside it."""
    beside = path.with_suffix(".bin")
    more = beside.stat().st_size if path.suffix == ".xml" and beside.exists() else 0
    return path.stat().st_size + more


def _compare(detector: "Detector", file: "Exported", data: "Data") -> None:
    from kedge.export.calibration import spread
    from kedge.predict.compare import compared

    print(compared(detector, file, spread(data, 8)))


def _before_and_after(detector: "Detector", file: "Exported", data: str, root: Path | None) -> None:
    """Prints the scores of both on the test split."""
    from rich.console import Console

    from kedge.commands.tables import scores_table
    from kedge.predict import score as scoring
    from kedge.predict.detect import detect

    truth = scoring.read_to_score(data, None, "drop", root)
    scoring.check_classes(detector.class_names, truth)
    rows = []
    for name, one in (("float32", detector), ("int8", file)):
        every = detect(one, truth, file.input_size)
        found, _ = scoring.relabelled(every, detector.class_names or (), truth)
        rows.append((name, scoring.score(found, truth)))
    title = f"On {count(len(truth.records), 'image')} of {truth.source}"
    Console().print(scores_table(rows, title=title + (f", {truth.split}" if truth.split else "")))
