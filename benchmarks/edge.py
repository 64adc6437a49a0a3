"""What a detector costs at the edge: parameters, megabytes, milliseconds on one core, AP.

Each row is one detector at 320 x 320 px: as torch runs it, in ONNX Runtime, and in int8, on one
thread, the median of 20 images of noise with nothing selected. Where ``--runs`` has a run of the
row's name (``NAME-SEED``), the row is of that run, at its own input size, with its AP in float and
in int8 on the test split; else weights are random, int8 is calibrated with noise, and AP is open.

    python benchmarks/edge.py --runs runs/detectors
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from _record import record, table

from kedge.data.sources import read_data
from kedge.detectors import SSD, Detector, GFLTiny, SSDLite, YOLOv2
from kedge.export import export, open_exported
from kedge.export.calibration import calibration_images
from kedge.predict.detect import detect
from kedge.predict.score import read_to_score, score
from kedge.train.result import load_run

SIDE, CLASSES, TIMES = 320, 3, 20

ROWS: dict[str, Callable[[], Detector]] = {
    "bccd_gfl_tiny": lambda: GFLTiny(num_classes=CLASSES),
    "bccd_gfl_tiny_micro": lambda: GFLTiny(num_classes=CLASSES, backbone="micro"),
    "bccd_gfl_tiny_mobilenetv4": lambda: GFLTiny(
        num_classes=CLASSES, backbone="mobilenetv4_conv_small"
    ),
    "bccd_gfl_tiny_lcnet": lambda: GFLTiny(num_classes=CLASSES, backbone="lcnet_100"),
    "bccd_gfl_tiny_mobilenetv3": lambda: GFLTiny(
        num_classes=CLASSES, backbone="mobilenetv3_small_100"
    ),
    "bccd": lambda: YOLOv2(num_classes=CLASSES),
    "bccd_ssd": lambda: SSD(num_classes=CLASSES),
    "bccd_ssdlite": lambda: SSDLite(num_classes=CLASSES),
}
"""By the name of the recipe that trains it, where there is one."""


def milliseconds(run: Callable[[torch.Tensor], Any], images: torch.Tensor) -> float:
    """Median of ``TIMES`` calls, after two that warm up."""
    seconds = []
    with torch.no_grad():
        for _ in range(TIMES + 2):
            start = time.perf_counter()
            run(images)
            seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds[2:])


def row(name: str, runs: Path, seed: int, folder: Path) -> dict[str, Any]:
    """One detector, measured."""
    trained = runs / f"{name}-{seed}"
    config = None
    if (trained / "run.json").is_file():
        found = load_run(trained)
        detector, config = found.detector, found.config
        size = config.image_size
        data = read_data(config.data, config.train_split, root=config.root)
        noise = calibration_images(data, size, 100)
    else:
        torch.manual_seed(seed)
        detector, size = ROWS[name]().eval(), (SIDE, SIDE)
        generator = torch.Generator().manual_seed(seed)
        noise = (torch.rand(1, 3, *size, generator=generator).numpy() for _ in range(10))
    images = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))
    whole, small = folder / f"{name}.onnx", folder / f"{name}_int8.onnx"
    export(detector, whole, image_size=size)
    export(detector, small, to="int8", image_size=size, calibration=noise)
    files = {"onnx": open_exported(whole), "int8": open_exported(small)}
    scores: dict[str, float | None] = {"AP": None, "AP int8": None}
    if config is not None:
        truth = read_to_score(config.data, None, "drop", config.root)
        for key, one in (("AP", detector), ("AP int8", files["int8"])):
            scores[key] = score(detect(one, truth, size), truth)["AP"]
    return {
        "row": name,
        "of": "a run" if config is not None else "random weights",
        "input": f"{size[0]} x {size[1]}",
        "parameters": sum(p.numel() for p in detector.parameters()),
        "MB": whole.stat().st_size / 1e6,
        "MB int8": small.stat().st_size / 1e6,
        "ms eager": milliseconds(detector, images),
        "ms onnx": milliseconds(files["onnx"], images),
        "ms int8": milliseconds(files["int8"], images),
        **scores,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; by default all")
    parser.add_argument("--runs", type=Path, default=Path("runs/detectors"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="edge", help="results/NAME.json")
    args = parser.parse_args()
    unknown = [name for name in args.rows if name not in ROWS]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.rows or ROWS:
            print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)
            rows.append(row(name, args.runs, args.seed, Path(folder)))
    print(table(rows))
    command = " ".join(["python benchmarks/edge.py", *args.rows, "--runs RUNS"])
    print(record(args.name, command, rows, args.seed))


if __name__ == "__main__":
    main()
