"""``kedge export``"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kedge.commands.words import Root, Sides, height_and_width, say
from kedge.counted import count

if TYPE_CHECKING:
    from kedge.data import Data
    from kedge.detectors import Detector


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
    score: bool = True,
) -> None:
    """Write a run as a file that runs elsewhere: ONNX, int8, OpenVINO, torch.export.

    kedge export runs/a --out a.onnx

    kedge export runs/a --to int8 --out a.onnx

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
        Side, or height and width, of the input; by default that of the training. Batches may have
        any number of images.
    data
        Data set for int8: its training images calibrate, its test images give the AP before and
        after; by default the one of the run.
    split
        Split that calibrates; by default the training split.
    images
        So many images calibrate, spread over the split.
    score
        Print the AP before and after for int8.
    """
    from kedge.export import export as write
    from kedge.export import open_exported
    from kedge.export.check import largest_difference
    from kedge.train.loading import load

    if images < 1:
        raise ValueError(f"--images {images}: must be at least 1")
    detector = load(run)
    size = height_and_width(image_size)
    if to == "int8":
        data, root = _of_run(run, data, root)
        from kedge.predict.calibration import calibration_images

        found = _read(data, split, root)
        batches = calibration_images(found, size or detector.input_size, images)
        write(detector, out, to=to, form=form, image_size=size, calibration=batches)
    else:
        write(detector, out, to=to, form=form, image_size=size)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")
