"""From words of a command line to what a page looks at."""

from dataclasses import replace
from pathlib import Path

from kedge.data import Data, said, toy
from kedge.data.problems import stop_if_no_box_is_left
from kedge.data.sources import read_data, training_split
from kedge.doctor.records import RunRecords, read_run
from kedge.doctor.setup import Setup
from kedge.doctor.setups import of_config, of_detector, usual_size
from kedge.live.source import Source, levels_of, strategy_state
from kedge.live.state import State, StrategyState

_FIRST, _SECOND = StrategyState(name="max_iou"), StrategyState(name="atss")


def open_source(
    data: str | None = None,
    *,
    split: str | None = None,
    root: Path | None = None,
    detector: str = "retinanet",
    anchors: str | None = None,
    run: Path | None = None,
    image_size: tuple[int, int] | None = None,
) -> tuple[Source, list[str]]:
    """What is named, with a line for everything that was wrong with the data.

    Without ``data`` that of ``run``, and without a run the drawn toy data. ``run``: its anchors are
    the start, its predictions are to be had where it has saved weights.

    Raises ``ValueError`` for words that contradict each other, and for files that cannot be read.
    """
    records = None if run is None else read_run(run)
    if records is not None and (anchors is not None or image_size is not None):
        raise ValueError("--anchors, --image-size: a run says its own; leave them out, or --run")
    found = _data(data, split, root, records)
    stop_if_no_box_is_left([found])
    if len(found) == 0:
        raise ValueError(f"{found.source}: holds no image to show")
    setup = _setup(found, records, run, detector, anchors, image_size)
    name = detector if records is None else records.config.detector
    source = Source(
        title=_title(found, setup, name, run),
        records=found.records,
        classes=found.classes,
        start=start_of(found, setup),
        detector=name,
        data="toy" if found.source == "toy" else None,
        run=run,
    )
    return source, said(found)


def _data(
    data: str | None, split: str | None, root: Path | None, records: RunRecords | None
) -> Data:
    if data is None and records is not None:
        config = records.config
        wanted = split or training_split(config.data, config.train_split)
        return read_data(config.data, wanted, root=root or config.root)
    if data in (None, "toy"):
        return toy.data(split or "train")
    return replace(read_data(data, split, root=root), source=data)


def _setup(
    data: Data,
    records: RunRecords | None,
    run: Path | None,
    detector: str,
    anchors: str | None,
    image_size: tuple[int, int] | None,
) -> Setup:
    if records is None:
        return of_detector(detector, image_size or usual_size(detector, anchors), anchors)
    found = of_config(records.config, data, f"--run {run}", records.last_shapes)
    if found is None:
        raise ValueError(f"{run}: {records.config.detector} has no anchors to show")
    return found


def start_of(data: Data, setup: Setup) -> State:
    """The first image with objects, by the detector's own rule and another."""
    own = strategy_state(setup.assign)
    first = _FIRST if own is None else own
    if setup.by_predictions:
        first = StrategyState(name="fcos") if setup.points else _FIRST
    second = _SECOND if first.name != "atss" else _FIRST
    image = next((i for i, r in enumerate(data.records) if (~r.crowd).any()), 0)
    return State(
        image=str(image),
        size=setup.image_size,
        levels=levels_of(setup.grid),
        strategies=(first, second),
    )


def _title(data: Data, setup: Setup, detector: str, run: Path | None) -> str:
    of = Path(data.source).name + (f", {data.split}" if data.split else "")
    if run is not None:
        return f"{of}: the run {run.name} ({detector})"
    return f"{of}: {setup.title if '/' not in setup.title else detector}"
