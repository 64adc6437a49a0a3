"""The main job in minutes: one detector with mismatched, k-means and learned anchors, side by side.

All runs have the same detector, data, budget and seed; only the anchors differ.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from kedge.data import Data, read, toy
from kedge.demo.side_by_side import train_side_by_side
from kedge.train.config import make_config
from kedge.files import write_json
from kedge.train.result import RunResult

_TOY_SIZE = (160, 192)  # small enough for four trainings in four minutes on two cores
_LONGEST = 320


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to come by anchors: a title, its folder, and the settings that make it."""

    title: str
    folder: str
    settings: dict[str, Any]


# The mismatch is Zhong et al.'s worst start: every shape 5 x 5 cells. The warm-up forgets where it
# started, so from k-means there is none: those shapes are moved by the detector alone.
VARIANTS = (
    Variant(
        title="mismatched, fixed",
        folder="mismatched",
        settings={"anchors": "identical"},
    ),
    Variant(title="k-means, fixed", folder="kmeans", settings={"anchors": "kmeans"}),
    Variant(
        title="learned from mismatched",
        folder="learned",
        settings={"anchors": "identical", "learn_anchors": True},
    ),
    Variant(
        title="learned from k-means",
        folder="learned-kmeans",
        settings={"anchors": "kmeans", "learn_anchors": True},
    ),
)


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """`runs`: title to result, in the order of the table. `report`: the page to open."""

    out: Path
    report: Path
    runs: dict[str, RunResult]
    seconds: float


def demo(
    data: str = "toy",
    *,
    out: Path = Path("demo"),
    epochs: int | None = None,
    seed: int = 0,
    variants: tuple[Variant, ...] = VARIANTS,
    settings: dict[str, Any] | None = None,
    root: Path | None = None,
    jobs: int | None = None,
    console: Console | None = None,
) -> DemoResult:
    """Train and score every variant, then write ``report.html`` and ``demo.json`` to `out`.

    `data`: a data set (`root`: as ``kedge.data.read`` takes it), or "toy", which is drawn into
    ``out/toy`` first. `settings` go on top of the
    demo's own for every run. An earlier demo in `out` is replaced. `jobs`: runs at a time,
    see ``train_side_by_side``.
    """
    begin = time.perf_counter()
    source = _draw_toy(out / "toy") if data == "toy" else data
    train_split = read(source, None, "clip", check_images=False, root=root)
    base = _base(train_split, source, epochs, seed) | {"root": root} | (settings or {})
    configs = {
        variant.title: make_config(base | variant.settings | {"out": out / variant.folder})
        for variant in variants
    }
    runs = train_side_by_side(configs, jobs=jobs, console=console)
    seconds = time.perf_counter() - begin
    facts = {"data": data, "seconds": seconds, "epochs": base["epochs"], "seed": seed}
    rows = {title: _row(run) for title, run in runs.items()}
    write_json(out / "demo.json", facts | {"runs": rows})

    from kedge.pages.demo import write_demo_report

    report = write_demo_report(out / "report.html", runs, source=source, root=root, facts=facts)
    return DemoResult(out=out, report=report, runs=runs, seconds=time.perf_counter() - begin)


def _base(data: Data, source: str, epochs: int | None, seed: int) -> dict[str, Any]:
    """Settings that every run of the demo shares."""
    epochs = epochs or max(8, min(30, round(12 * 400 / max(1, len(data)))))
    return {
        "data": source,
        "on_bad_box": "clip",
        "image_size": fitting_size(data),
        "stride": 32,  # as YOLOv2 has it: objects that share a cell need shapes of their own
        "epochs": epochs,
        "eval_every": max(1, epochs // 5),
        "save_every": epochs,
        "precision": "auto",
        "seed": seed,
    }


def fitting_size(data: Data, longest: int = _LONGEST) -> tuple[int, int]:
    """A network input (H, W) of the data's usual shape: multiples of 32, `longest` at most."""
    heights = sorted(record.height for record in data.records)
    widths = sorted(record.width for record in data.records)
    height, width = heights[len(heights) // 2], widths[len(widths) // 2]
    factor = min(1.0, longest / max(height, width))
    sides = (max(32, 32 * round(side * factor / 32)) for side in (height, width))
    return tuple(sides)  # pyright: ignore[reportReturnType]


def _draw_toy(folder: Path) -> str:
    """The toy data as files, drawn once."""
    if not (folder / "train.json").exists():
        toy.write(folder, size=_TOY_SIZE)
    return str(folder)


def _row(run: RunResult) -> dict[str, Any]:
    """What demo.json says of one run."""
    stations = {
        station.name: {"mean_best_iou": station.mean_best_iou, "shapes": station.shapes}
        for station in run.stations
    }
    scores = {key: value for key, value in run.scores.items() if isinstance(value, float)}
    return {
        "scores": scores,
        "stations": stations,
        "seconds": run.seconds,
        "seconds_per_step": run.seconds_per_step,
    }
