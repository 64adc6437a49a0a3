"""What a detector costs at the edge: parameters, megabytes, milliseconds on one core, AP.

Each row is one detector. What it costs is measured at 320 x 320 px, of random weights: as torch
runs it, in ONNX Runtime, and in int8 (calibrated with noise), on one thread, the median of 20
images of noise with nothing selected. What it finds is the AP of its run on each data set, in float
and in int8 (calibrated with training images), at the input size of the run, ``NAME-SEED`` below
``--runs``; where there is no such run, what the file has, or open. ``PEERS`` is what others
published of theirs.

    python benchmarks/edge.py --runs runs/detectors
    python benchmarks/edge.py --found  # only what the runs found; the costs of the file stay
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from _record import record, table, with_earlier, with_earlier_command

from kedge.data.sources import read_data
from kedge.detectors import SSD, Detector, GFLTiny, SSDLite, YOLOv2
from kedge.export import export, open_exported
from kedge.export.calibration import calibration_images
from kedge.predict.detect import detect
from kedge.predict.score import read_to_score, score
from kedge.train.saved import load_run

SIDE, CLASSES, TIMES = 320, 3, 20
DATA = ("bccd", "hit_uav")


class Row(NamedTuple):
    """A detector of ``CLASSES`` classes, and its recipe of each data set."""

    make: Callable[[], Detector]
    recipes: dict[str, str]


def gfl_tiny(backbone: str, after: str) -> Row:
    recipes = {data: f"{data}_gfl_tiny{after}" for data in DATA}
    return Row(lambda: GFLTiny(num_classes=CLASSES, backbone=backbone), recipes)


ROWS = {
    "gfl_tiny": gfl_tiny("tiny", ""),
    "gfl_tiny micro": gfl_tiny("micro", "_micro"),
    "gfl_tiny mobilenetv4_conv_small": gfl_tiny("mobilenetv4_conv_small", "_mobilenetv4"),
    "gfl_tiny lcnet_100": gfl_tiny("lcnet_100", "_lcnet"),
    "gfl_tiny mobilenetv3_small_100": gfl_tiny("mobilenetv3_small_100", "_mobilenetv3"),
    "yolov2": Row(lambda: YOLOv2(num_classes=CLASSES), {"bccd": "bccd"}),
    "ssd": Row(lambda: SSD(num_classes=CLASSES), {"bccd": "bccd_ssd"}),
    "ssdlite": Row(
        lambda: SSDLite(num_classes=CLASSES), {data: f"{data}_ssdlite" for data in DATA}
    ),
}

PEERS = [
    dict(zip(("detector", "input", "COCO AP", "parameters", "GFLOPs", "source"), values))
    for values in (
        ("NanoDet-m", "320", 20.6, "0.95 M", 0.72, "authors' README [A]"),
        ("NanoDet-Plus-m", "320", 27.0, "1.17 M", 0.9, "authors' README [A]"),
        ("NanoDet-Plus-m", "416", 30.4, None, None, "authors' README [A]"),
        ("SSDLite, MobileNetV3-Large", "320", 21.3, "3.44 M", 0.583, "torchvision [C]"),
        ("Faster R-CNN, MobileNetV3-Large", "320", 22.8, "19.4 M", 0.72, "torchvision [C]"),
    )
]  # fmt: skip
"""AP on COCO's 80 classes, beside which AP on a set of few classes means nothing. [A]: read in the
authors' README; [C]: read in the code or configuration that goes with the weights. What was only
seen in texts of others or is remembered (YOLO-nano, YOLOX-Nano and more) is left out."""


def milliseconds(run: Callable[[torch.Tensor], Any], images: torch.Tensor) -> float:
    """Median of ``TIMES`` calls, after two that warm up."""
    seconds = []
    with torch.no_grad():
        for _ in range(TIMES + 2):
            start = time.perf_counter()
            run(images)
            seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds[2:])


def cost(make: Callable[[], Detector], folder: Path) -> dict[str, Any]:
    """Parameters, megabytes and milliseconds at 320 x 320 px, of random weights."""
    torch.manual_seed(0)
    detector, size = make().eval(), (SIDE, SIDE)
    generator = torch.Generator().manual_seed(0)
    noise = (torch.rand(1, 3, *size, generator=generator).numpy() for _ in range(10))
    whole, small = folder / "float.onnx", folder / "int8.onnx"
    export(detector, whole, image_size=size)
    export(detector, small, to="int8", image_size=size, calibration=noise)
    images = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    return {
        "parameters": sum(p.numel() for p in detector.parameters()),
        "MB": whole.stat().st_size / 1e6,
        "MB int8": small.stat().st_size / 1e6,
        "ms eager": milliseconds(detector, images),
        "ms onnx": milliseconds(open_exported(whole), images),
        "ms int8": milliseconds(open_exported(small), images),
    }


def found_by(run: Path, folder: Path) -> dict[str, Any]:
    """The AP of a run on the test split of its data, and of what it becomes in int8."""
    if not (run / "run.json").is_file():
        return {"AP": None, "AP int8": None, "input": None}
    known = load_run(run)
    config, size = known.config, known.config.image_size
    data = read_data(config.data, config.train_split, root=config.root)
    small = folder / "trained.onnx"
    images = calibration_images(data, size, 100)
    export(known.detector, small, to="int8", image_size=size, calibration=images)
    truth = read_to_score(config.data, None, "drop", config.root)
    ap = [
        score(detect(one, truth, size), truth)["AP"]
        for one in (known.detector, open_exported(small))
    ]
    return {"AP": ap[0], "AP int8": ap[1], "input": f"{size[0]} x {size[1]}"}


def row(
    name: str, runs: Path, seed: int, folder: Path, known: dict[str, Any], measure: bool
) -> dict[str, Any]:
    """One detector: its costs where they are to be measured, what its runs found, and else what is
    ``known`` of it."""
    detector, out = ROWS[name], {"row": name}
    if measure:
        out |= cost(detector.make, folder)
    for data in DATA:
        recipe = detector.recipes.get(data, "")
        said = found_by(runs / f"{recipe}-{seed}", folder)
        out |= {f"{data} {key}": v for key, v in said.items() if v is not None or not known}
    return known | out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; by default all")
    parser.add_argument("--runs", type=Path, default=Path("runs/detectors"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="edge", help="results/NAME.json")
    parser.add_argument("--found", action="store_true", help="only what the runs found")
    args = parser.parse_args()
    unknown = [name for name in args.rows if name not in ROWS]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    torch.set_num_threads(1)
    rows, known = [], {found["row"]: found for found in with_earlier(args.name, [], "row")}
    with tempfile.TemporaryDirectory() as folder:
        for name in args.rows or ROWS:
            print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)
            measure, of_file = not args.found, known.get(name, {})
            rows.append(row(name, args.runs, args.seed, Path(folder), of_file, measure))
    rows = with_earlier(args.name, rows, "row")
    rows.sort(key=lambda found: list(ROWS).index(found["row"]))
    print(table(rows))
    named = [f"'{name}'" for name in args.rows] + ["--found"] * args.found
    command = " ".join(["python benchmarks/edge.py", *named, "--runs RUNS"])
    command = with_earlier_command(args.name, command) if named else command
    print(record(args.name, command, rows, args.seed, threads=1, side=SIDE, peers=PEERS))


if __name__ == "__main__":
    main()
