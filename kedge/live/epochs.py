"""What the shapes of each point of a run would do on one image: positives, and who goes without."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TypedDict

import torch

from kedge.assign.by_name import strategy
from kedge.assign.predictions_read import needs_predictions
from kedge.files import read_lines
from kedge.live.source import Source
from kedge.live.state import Asked, LevelState, State
from kedge.train.result import SHAPES

SHOWN = 40  # points of a run; of more, every second, third ... and the last


class EpochsRequest(Asked):
    """The image, and the strategies."""

    state: State


class Epochs(TypedDict):
    """``epoch`` of every point looked at; of every strategy its positives and objects without, None
    where it reads predictions. ``moved``: whether the shapes changed; nothing is counted if not."""

    moved: bool
    epoch: list[int]
    positives: list[list[int] | None]
    without: list[list[int] | None]


def epochs(source: Source, folder: Path | None, asked: EpochsRequest) -> Epochs:
    """Assign the image once for every point; ``ValueError`` where there is no run."""
    if folder is None:
        raise ValueError("there is no run to watch: start with kedge live --run runs/a")
    rows = read_lines(folder / SHAPES)
    if not rows or all(row["shapes"] == rows[0]["shapes"] for row in rows):
        return {"moved": False, "epoch": [], "positives": [], "without": []}
    step = max(1, -(-len(rows) // SHOWN))
    kept = rows[::step] if rows[::step][-1] is rows[-1] else [*rows[::step], rows[-1]]
    each = [_at(source, asked.state, row["shapes"]) for row in kept]
    return {
        "moved": True,
        "epoch": [int(row.get("epoch", 0)) for row in kept],
        "positives": [_column([one[i] for one in each], 0) for i in range(len(each[0]))],
        "without": [_column([one[i] for one in each], 1) for i in range(len(each[0]))],
    }


def _column(rows: list[tuple[int, int] | None], at: int) -> list[int] | None:
    return None if any(row is None for row in rows) else [row[at] for row in rows if row]


def _at(
    source: Source, state: State, shapes: Sequence[Sequence[float]]
) -> list[tuple[int, int] | None]:
    """Positives and objects without, by every strategy, with these shapes on the start's levels."""
    rest = iter([(float(w), float(h)) for w, h in shapes])
    levels: list[LevelState] = []
    for level in source.start.levels:
        mine = None if level.shapes is None else tuple(islice(rest, len(level.shapes)))
        levels.append(level.model_copy(update={"shapes": mine}))
    here = state.model_copy(update={"levels": tuple(levels)})
    record = source.record(state.image)
    grid = here.grid(here.place(record.height, record.width).outer)
    targets, found = source.targets(here), list[tuple[int, int] | None]()
    for item in state.strategies:
        rule = strategy(item.spec())
        if needs_predictions(rule, grid):
            found.append(None)
            continue
        given = rule(grid, targets)
        has = torch.bincount(given.target, minlength=len(targets)) > 0
        found.append((len(given), int((~has & ~targets.ignore).sum())))
    return found
