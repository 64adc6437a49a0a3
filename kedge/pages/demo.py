"""The demo's report: scores, where the shapes lie and went, what each detector sees."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kedge.counted import count
from kedge.data import Data
from kedge.data.images import decode
from kedge.files import read_lines
from kedge.predict.detect import detect
from kedge.predict.score import ground_truth, read_to_score
from kedge.report import (
    Block,
    Figure,
    Grid,
    Image,
    Numbers,
    Section,
    Table,
    Text,
    draw_detections,
    write_report,
)
from kedge.report.curves import training_curve
from kedge.report.plane import density, shape_paths, shape_plane
from kedge.train.result import METRICS, SCORES, SHAPES, RunResult
from kedge.train.saved import load_run

_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
_PICTURES = 4

Runs = Mapping[str, RunResult]


def write_demo_report(
    path: Path, runs: Runs, *, source: str, facts: Mapping[str, Any], root: Path | None = None
) -> Path:
    """Write the report of finished `runs` (title to result) on `source` (`root`: as
    ``kedge.data.read`` takes it)."""
    first = next(iter(runs.values()))
    data = read_to_score(source, first.eval_split, "clip", root) if first.eval_split else None
    sections = [
        Section(title="Scores", blocks=_scores(runs)),
        Section(title="Shapes", blocks=_shapes(runs)),
        Section(title="Learning curves", blocks=_curves(runs)),
    ]
    if data is not None:
        sections.append(Section(title="Detections", blocks=_detections(runs, data)))
    shown = {
        "data": str(facts["data"]),
        "epochs": f"{facts['epochs']}, {count(first.steps, 'step')} each",
        "seed": str(facts["seed"]),
        "time": f"{facts['seconds']:.0f} s in all",
        "kedge": first.made_with["versions"].get("kedge", "?"),
    }
    subtitle = "One detector, one budget; only the anchors differ."
    return write_report(path, "Anchors: mismatched, k-means, learned", sections,
                        subtitle=subtitle, facts=shown)  # fmt: skip


def _scores(runs: Runs) -> list[Block]:
    rows = []
    for title, run in runs.items():
        final = run.station("final").mean_best_iou
        rows.append([title, *(run.scores.get(name) for name in _METRICS), final])
    blocks: list[Block] = [
        Table(
            columns=["anchors", *_METRICS, "mean best IoU"],
            rows=rows,
            best=[*_METRICS, "mean best IoU"],
            caption="COCO metrics on the split held out. Mean best IoU: of the training boxes, as "
            "the network sees them, with the shapes of the finished detector. One seed: "
            "differences of a point or two are noise.",
        )
    ]
    scored = [(title, run.scores["AP50"]) for title, run in runs.items() if run.scores]
    if scored:
        items = [(f"{value:.2f}", "AP50", title) for title, value in scored]
        blocks.insert(0, Numbers(items=items))
    return blocks


def _shapes(runs: Runs) -> list[Block]:
    counted = density(_seen(next(iter(runs.values()))))
    finals = {title: run.station("final").shapes for title, run in runs.items()}
    paths = {t: _path(run) for t, run in runs.items() if len(_path(run)) > 1 and _moved(run)}
    stations = [
        [title, station.name, station.mean_best_iou, _text(station.shapes)]
        for title, run in runs.items()
        for station in run.stations
    ]
    return [
        Figure(
            figure=shape_plane(counted, finals),
            caption="Grey: training boxes as the network sees them. Marks: the shapes of each "
            "detector at the end. Where the marks leave the grey, or the grey has no marks, "
            "anchors do not match objects.",
        ),
        *(
            [
                Figure(
                    figure=shape_paths(paths, counted),
                    caption="The way of the learned shapes, from where they started (hollow) to "
                    "where they ended (filled).",
                )
            ]
            if paths
            else []
        ),
        Table(
            columns=["anchors", "station", "mean best IoU", "shapes, w x h"],
            rows=stations,
            caption="Shapes along each run, and k-means for comparison (Zhong et al., "
            "arXiv:1812.00469, table 4).",
        ),
    ]


def _curves(runs: Runs) -> list[Block]:
    losses, scores, fits = {}, {}, {}
    for title, run in runs.items():
        losses[title] = _by_epoch(read_lines(run.out / METRICS), "loss", run.epochs)
        scores[title] = _by_epoch(read_lines(run.out / SCORES), "AP50", run.epochs)
        fits[title] = _by_epoch(read_lines(run.out / SHAPES), "mean_best_iou", run.epochs)
    return [
        Grid(
            blocks=[
                Figure(figure=training_curve(losses, "loss", log=True)),
                Figure(figure=training_curve(scores, "AP50")),
                Figure(figure=training_curve(fits, "mean best IoU")),
            ],
            caption="Training loss, score on the split held out, and the fit of the shapes.",
        )
    ]


def _detections(runs: Runs, data: Data) -> list[Block]:
    """The same few images under every detector; objects in thin white dashes."""
    chosen = _telling(data)
    part = Data(
        source=data.source,
        format=data.format,
        split=data.split,
        splits=data.splits,
        classes=data.classes,
        category_ids=data.category_ids,
        records=[data.records[i] for i in chosen],
    )
    truth, blocks = ground_truth(part), []
    found = {}
    for title, result in runs.items():
        run = load_run(result.out)
        found[title] = detect(run.detector, part, run.config.image_size)
    for i, record in enumerate(part.records):
        pixels = decode(record)
        pictures = [
            Image(
                image=draw_detections(pixels, rows[i], truth[i], names=data.classes),
                caption=title,
                alt=f"{record.name}: detections of {title}",
            )
            for title, rows in found.items()
        ]
        blocks.append(Grid(blocks=pictures, caption=record.name))
    intro = "Detections that score at least 0.3; objects are thin white dashes."
    return [Text(text=intro), *blocks]


def _telling(data: Data) -> list[int]:
    """Images with several objects of very different sizes, spread over the split."""
    spread = []
    for i, record in enumerate(data.records):
        sides = record.boxes[~record.crowd]
        area = np.maximum((sides[:, 2:] - sides[:, :2]).prod(axis=1), 1.0)
        spread.append((float(np.log(area).std()) if 3 <= len(area) <= 25 else -1.0, -i))
    best = sorted(spread, reverse=True)[:_PICTURES]
    return sorted(-i for _, i in best)


def _seen(run: RunResult) -> Any:
    """The box sizes that the run's shapes were measured against."""
    from kedge.train.config import load_config
    from kedge.train.result import CONFIG
    from kedge.train.run import read_splits, transforms_of
    from kedge.train.seen_boxes import seen_boxes

    config = load_config(run.out / CONFIG)
    data, _ = read_splits(config)
    return seen_boxes(data, transforms_of(config, colour=False), config.seed).sizes


def _path(run: RunResult) -> list[Any]:
    return [row["shapes"] for row in read_lines(run.out / SHAPES)]


def _moved(run: RunResult) -> bool:
    return not np.allclose(run.station("initial").shapes, run.station("final").shapes, rtol=1e-3)


def _text(shapes: Sequence[Sequence[float]]) -> str:
    ordered = sorted(shapes, key=lambda shape: shape[0] * shape[1])
    return ", ".join(f"{w:.0f} x {h:.0f}" for w, h in ordered)


def _by_epoch(rows: Sequence[Mapping[str, Any]], key: str, epochs: int) -> list[float]:
    """The mean of `key` in every epoch; NaN where there is none. Rows count finished epochs."""
    values: list[list[float]] = [[] for _ in range(epochs)]
    for row in rows:
        place = min(max(row["epoch"] - 1, 0), epochs - 1)
        if row.get(key) is not None and (row["epoch"] > 0 or key == "loss"):
            values[place].append(row[key])
    return [float(np.mean(v)) if v else float("nan") for v in values]
